"""What a corpus is like before a training, of reports of `explore`."""

from __future__ import annotations

from collections.abc import Iterator

from avaffect.core.table import Style
from avaffect.recipes.exploring import doubts, tables
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Group, Note, Part, Section, TablePart
from avaffect.recipes.reporting.scored import Scored
from avaffect.recipes.scoring.reports.exploration import ExplorationReport

PEOPLE = Style(for_people=True)


def section(context: Context, scored: Scored) -> Section | None:
    """None where no report of `explore` was given."""
    parts: list[Part] = [
        Group(report.file, tuple(context.attempt(f"what {report.file} is like", _parts, report)))
        for report in scored.of(ExplorationReport)
    ]
    return Section("exploration", "Before training", tuple(parts)) if parts else None


def _parts(report: ExplorationReport) -> Iterator[Part]:
    for words in doubts.of(report):
        yield Note(words, is_warning=True)
    for table in tables.tables(report, PEOPLE):
        yield TablePart(table)
