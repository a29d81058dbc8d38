"""Prints a comparison of reports: a table, or JSON."""

from __future__ import annotations

from avaffect.cli.show.reports import show_reports
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.settings.compare import CompareSettings


def show(settings: CompareSettings, progress: Progress) -> None:
    from avaffect.recipes.compare import compare
    from avaffect.recipes.scoring.tables.comparison import table

    report = compare(settings, progress)
    show_reports(settings, [report], lambda style: [table(report, style, settings.per_class)])
    progress.say(f"{count_of(len(report.rows), 'row')} compared with {report.baseline}")
