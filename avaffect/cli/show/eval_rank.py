"""Prints the scores of rankings: tables, or JSON."""

from __future__ import annotations

from avaffect.cli.show.reports import show_reports
from avaffect.core.progress import Progress
from avaffect.settings.eval_rank import EvalRankSettings


def show(settings: EvalRankSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_rank import eval_rank
    from avaffect.recipes.scoring.tables.ranking import tables

    reports = eval_rank(settings, progress)
    show_reports(settings, reports, lambda style: tables(reports, style, settings.per_recording))
