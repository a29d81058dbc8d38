"""Prints the scores of the model, or in a dry run the commands that would be run."""

from __future__ import annotations

import sys

from avaffect.cli.console import print_table
from avaffect.core.progress import Progress
from avaffect.core.table import Style
from avaffect.settings.train import TrainSettings


def show(settings: TrainSettings, progress: Progress) -> None:
    from avaffect.recipes.scoring.tables import classes, traces
    from avaffect.recipes.train import train

    trained = train(settings, progress)
    if settings.dry_run:
        for step in trained.steps:
            print(step)
        return
    style = Style(for_people=sys.stdout.isatty())
    for step, reports in trained.scores:
        of_classes = step.command == "eval-class"
        tables = classes.tables(reports, style, []) if of_classes else traces.tables(reports, style)
        for table in tables:
            print_table(table)
