"""The table of `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from avaffect.core.table import Style, Table
from avaffect.evaluation.paired import FEW_DISCORDANT
from avaffect.recipes.scoring.reports.comparison import Compared, Comparison, UtteranceTests
from avaffect.settings.scores import score_words, training_words

# Signs of significance as in papers.
STARS = ((0.01, "**"), (0.05, "*"))
# Columns for programs: utterances that the row alone has right, and the baseline alone.
MCNEMAR = ("mcnemar_better", "mcnemar_worse", "mcnemar_p")


@dataclass(frozen=True)
class _Row:
    begun: list[str]
    scores: Mapping[str, Compared]
    utterances: UtteranceTests | None


def table(report: Comparison, style: Style, per_class: bool = False) -> Table:
    """A row for each report, or with `per_class` for the F1 of each class."""
    statuses = [training_words(row.seen, row.facts.count) for row in report.rows]
    # Scores on held-out speakers alone need no such column.
    on = ["on"] if any(statuses) else []
    note = _note(report)
    if per_class:
        rows = [
            _Row([row.name, name, str(len(row.runs)), *[words] * len(on)], {"f1": of_class},
                 row.utterances)
            for row, words in zip(report.rows, statuses)
            for name, of_class in row.per_class.items()
        ]  # fmt: skip
        return _table("Classes", ["name", "class", "runs", *on], ["f1"], rows, style, note)
    rows = [
        _Row([row.name, str(len(row.runs)), *[words] * len(on)], row.scores, row.utterances)
        for row, words in zip(report.rows, statuses)
    ]
    found = _table("Comparison", ["name", "runs", *on], report.scores, rows, style, note)
    return _with_chance(found, report, style, len(on) + 2)


def _with_chance(found: Table, report: Comparison, style: Style, before: int) -> Table:
    """For people a row, or one for each report where chance gives others; for programs columns.
    before: columns before the scores."""
    known = {row.name: (report.chance or {}).get(row.name, {}) for row in report.rows}
    scores = [name for name in report.scores if any(name in of for of in known.values())]
    if not scores:
        return found
    if not style.for_people:
        cells = [[style.number(known[row.name].get(n)) for n in scores] for row in report.rows]
        rows = [(*row, *more) for row, more in zip(found.rows, cells, strict=True)]
        names = (*found.columns, *(f"{name}_chance" for name in scores))
        return replace(found, columns=names, rows=tuple(rows))
    alike = all(of == known[report.rows[0].name] for of in known.values())
    places = {name: found.columns.index(score_words(name), before) for name in scores}
    rows = list(found.rows)
    for name, of in list(known.items())[: 1 if alike else None]:
        row = ["chance" if alike else f"chance of {name}", *[""] * (len(found.columns) - 1)]
        for score, place in places.items():
            row[place] = style.number(of.get(score))
        rows.append(tuple(row))
    return replace(found, rows=tuple(rows))


def _note(report: Comparison) -> str:
    of = next((row.utterances for row in report.rows if row.utterances is not None), None)
    tests = []
    if of is None or any(o.t is not None for row in report.rows for o in row.scores.values()):
        tests.append(f"in a {report.test} t-test over runs")
    if of is not None:
        tests.append(
            f"of single runs by bootstrap over {of.units} {of.over}, with intervals of "
            f"{of.percent:g} %"
        )
    if of is not None and of.mcnemar is not None:
        tests.append(
            f"McNemar: over utterances, exact below {FEW_DISCORDANT} discordant ones, else "
            "chi-squared with correction for continuity"
        )
    stars = f"differences from {report.baseline}; * p < 0.05, ** p < 0.01 "
    return stars + "; ".join(tests)


def _table(
    title: str, start: list[str], scores: Sequence[str], rows: Sequence[_Row], style: Style,
    note: str,
) -> Table:  # fmt: skip
    by_utterance = any(row.utterances is not None for row in rows)
    of_classes = any(row.utterances is not None and row.utterances.mcnemar for row in rows)
    columns, cells = (_words, _for_people) if style.for_people else (_columns, _for_programs)
    # Stars show small p values; with a single score there is room for the number.
    width = 2 if style.for_people and len(scores) > 1 else None
    names = [column for score in scores for column in columns(score, by_utterance)[:width]]
    if of_classes:
        names += ["McNemar p"] if style.for_people else [*MCNEMAR]
    found = []
    for row in rows:
        cells_of = [c for s in scores for c in cells(row.scores[s], style, by_utterance)[:width]]
        found.append(row.begun + cells_of + (_mcnemar(row, style) if of_classes else []))
    return Table.of(title, start + names, found, note)


def _words(score: str, by_utterance: bool) -> list[str]:
    return [score_words(score), "difference", "p"]


def _for_people(found: Compared, style: Style, by_utterance: bool) -> list[str]:
    difference, p = found.difference, found.p
    stars = next((mark for bound, mark in STARS if p is not None and p < bound), "")
    between = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return [
        style.number(found.mean, found.std),
        "" if difference is None else f"{difference:+.3f}{stars}{between}",
        _p_words(p),
    ]


def _p_words(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _mcnemar(row: _Row, style: Style) -> list[str]:
    if row.utterances is None or row.utterances.mcnemar is None:
        return [""] if style.for_people else [""] * len(MCNEMAR)
    found = row.utterances.mcnemar
    if style.for_people:
        return [_p_words(found.p)]
    return [str(found.better), str(found.worse), _exact(found.p)]


def _columns(score: str, by_utterance: bool) -> list[str]:
    ends = ["", "_std", "_difference", "_t", "_degrees", "_p", *(["_low", "_high"] * by_utterance)]
    return [score + end for end in ends]


def _for_programs(found: Compared, style: Style, by_utterance: bool) -> list[str]:
    bounds = [found.low, found.high] * by_utterance
    return [
        *map(style.number, (found.mean, found.std, found.difference)),
        *map(_exact, (found.t, found.degrees, found.p)),
        *map(style.number, bounds),
    ]


def _exact(value: float | None) -> str:
    return f"{value:.6g}" if value is not None else ""
