"""The table of `compare`."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.table import Style, Table
from avaffect.recipes.scoring.reports.comparison import Compared, Comparison
from avaffect.settings.scores import score_words, training_words

# Signs of significance as in papers.
STARS = ((0.01, "**"), (0.05, "*"))

Rows = list[tuple[list[str], dict[str, Compared]]]


def table(report: Comparison, style: Style, per_class: bool = False) -> Table:
    """A row for each report, or with `per_class` for the F1 of each class."""
    statuses = [training_words(row.seen, row.facts.count) for row in report.rows]
    # Scores on held-out speakers alone need no such column.
    on = ["on"] if any(statuses) else []
    note = f"differences from {report.baseline}; * p < 0.05, ** p < 0.01 in a {report.test} t-test "
    note += "over runs"
    if per_class:
        rows = [
            ([row.name, name, str(len(row.runs)), *[words] * len(on)], {"f1": of_class})
            for row, words in zip(report.rows, statuses)
            for name, of_class in row.per_class.items()
        ]
        return _table("Classes", ["name", "class", "runs", *on], ["f1"], rows, style, note)
    rows = [
        ([row.name, str(len(row.runs)), *[words] * len(on)], row.scores)
        for row, words in zip(report.rows, statuses)
    ]
    return _table("Comparison", ["name", "runs", *on], report.scores, rows, style, note)


def _table(
    title: str, start: list[str], scores: Sequence[str], rows: Rows, style: Style, note: str
) -> Table:
    columns, cells = (_words, _for_people) if style.for_people else (_columns, _for_programs)
    # Stars show small p values; with a single score there is room for the number.
    width = 2 if style.for_people and len(scores) > 1 else None
    return Table.of(
        title,
        start + [column for score in scores for column in columns(score)[:width]],
        [begun + [c for s in scores for c in cells(of[s], style)[:width]] for begun, of in rows],
        note,
    )


def _words(score: str) -> list[str]:
    return [score_words(score), "difference", "p"]


def _for_people(found: Compared, style: Style) -> list[str]:
    difference, p = found.difference, found.p
    stars = next((mark for bound, mark in STARS if p is not None and p < bound), "")
    return [
        style.number(found.mean, found.std),
        "" if difference is None else f"{difference:+.3f}{stars}",
        "" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}",
    ]


def _columns(score: str) -> list[str]:
    ends = ("", "_std", "_difference", "_t", "_degrees", "_p")
    return [score + end for end in ends]


def _for_programs(found: Compared, style: Style) -> list[str]:
    exact = [f"{x:.6g}" if x is not None else "" for x in (found.t, found.degrees, found.p)]
    return [*map(style.number, (found.mean, found.std, found.difference)), *exact]
