"""Prints predictions as a table, or as CSV, where they are not written as a manifest."""

from __future__ import annotations

import sys

from avaffect.core.progress import Progress
from avaffect.settings.predict import PredictSettings


def show(settings: PredictSettings, progress: Progress) -> None:
    from avaffect.recipes.predict import predict

    found = predict(settings, progress, for_people=sys.stdout.isatty())
    if found is None:
        return
    from avaffect.cli.console import print_table
    from avaffect.core.table import Style
    from avaffect.recipes.downstream import prediction_tables

    if settings.format == "csv":
        sys.stdout.write(prediction_tables.csv_text(found))
    else:
        print_table(prediction_tables.table(found, Style(for_people=sys.stdout.isatty())))
