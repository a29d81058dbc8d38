"""Prints the scores of classes: tables, or JSON."""

from __future__ import annotations

from avaffect.cli.show.reports import show_reports
from avaffect.core.progress import Progress
from avaffect.settings.eval_class import EvalClassSettings


def show(settings: EvalClassSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_class import ONE_TABLE, eval_class
    from avaffect.recipes.scoring.tables.classes import tables

    reports = eval_class(settings, progress)
    shown = [name for name in ONE_TABLE if getattr(settings, name)]
    show_reports(settings, reports, lambda style: tables(reports, style, shown))
