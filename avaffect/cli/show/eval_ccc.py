"""Prints the scores of traces: tables, or JSON."""

from __future__ import annotations

from avaffect.cli.show.reports import show_reports
from avaffect.core.progress import Progress
from avaffect.settings.eval_ccc import EvalCccSettings


def show(settings: EvalCccSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_ccc import eval_ccc
    from avaffect.recipes.scoring.tables.traces import tables

    reports = eval_ccc(settings, progress)
    show_reports(
        settings,
        reports,
        lambda style: tables(reports, style, settings.per_recording, settings.accuracy),
    )
