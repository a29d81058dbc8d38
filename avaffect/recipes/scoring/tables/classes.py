"""Tables of `eval-class`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avaffect.core.table import Style, Table
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.recipes.scoring.tables import class_extras
from avaffect.settings.scores import SCORE_WORDS, SHARED_DISTANCE, training_words

SCORES = {
    "predictions": ("accuracy", "ua", "f1_micro", "f1_macro"),
    "retrieval": ("accuracy", "macro"),
}
FACTS = {
    "predictions": ("count", "missing_gold"),
    "retrieval": ("queries", "count", "missing_gold", "distinct", "hours", "effective_size"),
}
PER_CLASS = {
    "predictions": ("precision", "recall", "f1", "support"),
    "retrieval": ("accuracy", "count"),
}
HEADINGS = {"missing_gold": "unlabelled", "effective_size": "effective size", **SCORE_WORDS}
# Scores of votes for classes, and of two streams.
SOME_HAVE = ("kl", "ce", SHARED_DISTANCE)
CORNERS = {"predictions": "true \\ predicted", "retrieval": "query's \\ true"}

Reports = (
    Sequence[ClassReport] | Sequence[RetrievalReport] | Sequence[ClassReport | RetrievalReport]
)


def tables(reports: Reports, style: Style, shown: Sequence[str] = ()) -> list[Table]:
    """The tables of reports of one content.

    shown: of scores, runs, per_class and confusion; (): all tables for one report on a terminal,
    else scores, or groups where they were asked for, alone, since other tools read one table.
    """
    if not shown:
        grouped = any(isinstance(r, ClassReport) and r.groups for r in reports)
        shown = ("groups",) if grouped else ("scores",)
        if style.for_people:
            shown = ("scores", "intervals", "permutation", "calibration", "groups")
        if style.for_people and len(reports) == 1:
            shown = (*shown, "shared", "per_class", "confusion")
    found: list[Table] = []
    for name in shown:
        if name == "scores":
            found.append(_scores(reports, style))
        elif name in class_extras.TABLES:
            of_classes = [report for report in reports if isinstance(report, ClassReport)]
            found += class_extras.TABLES[name](of_classes, style)
        elif name == "shared":
            found += _shared(reports, style)
        elif name == "runs":
            found.append(_runs(reports, style))
        elif name == "per_class":
            found.append(_per_class(reports, style))
        else:
            found += _confusion(reports)
    return found


def _trained_on(report: ClassReport | RetrievalReport) -> str:
    return training_words(report.seen, report.count) if isinstance(report, ClassReport) else ""


def _scores(reports: Reports, style: Style) -> Table:
    """A row for each file. In a pipe standard deviations are columns of their own."""
    content = reports[0].content
    known = [n for n in SOME_HAVE if any(getattr(r, n, None) is not None for r in reports)]
    scores = (*SCORES[content], *known)
    with_runs = content == "predictions"
    on = [_trained_on(report) for report in reports]
    # Scores on held-out speakers alone need no such column.
    column = ["on"] if any(on) else []
    columns = ["file", *(["runs"] if with_runs else []), *FACTS[content], *column, *scores]
    bounded = list(dict.fromkeys(
        name for r in reports if isinstance(r, ClassReport) and r.intervals is not None
        for name in r.intervals.bounds
    ))  # fmt: skip
    rows = []
    for report, words in zip(reports, on):
        spread = report.std if isinstance(report, ClassReport) else {}
        row = [str(report.file)]
        row += [str(len(report.runs))] if isinstance(report, ClassReport) else []
        row += [style.number(getattr(report, name)) for name in FACTS[content]]
        row += [words] if column else []
        row += [style.number(getattr(report, name), spread.get(name)) for name in scores]
        if isinstance(report, ClassReport) and not style.for_people:
            row += [style.number(spread.get(name)) for name in scores]
            row += [style.number(bound) for name in bounded for bound in _bounds(report, name)]
        rows.append(row)
    if with_runs and not style.for_people:
        columns += [f"{name}_std" for name in scores]
        columns += [f"{name}_{side}" for name in bounded for side in ("from", "to")]
        more = class_extras.columns([r for r in reports if isinstance(r, ClassReport)], style)
        columns += more
        rows = [[*row, *cells] for row, cells in zip(rows, zip(*more.values(), strict=True))]
    elif style.for_people:
        rows += _chance_rows(reports, len(columns) - len(scores), scores, style)
    return Table.of("Scores", style.headings(columns, HEADINGS), rows)


def _chance_rows(
    reports: Reports, before: int, scores: Sequence[str], style: Style
) -> list[list[str]]:
    """What chance gives: a row for all files, or for each where they differ. before: columns before
    the scores."""
    known = [(report.file, of) for report in reports if (of := _chance(report))]
    alike = all(chance == known[0][1] for _, chance in known)
    return [
        ["chance" if alike else f"chance of {file}", *[""] * (before - 1),
         *(style.number(chance.get(name)) for name in scores)]
        for file, chance in (known[:1] if alike else known)
    ]  # fmt: skip


def _chance(report: ClassReport | RetrievalReport) -> Mapping[str, float | None]:
    """Of a retrieval: of draws from the whole pool alike, where that is known."""
    if isinstance(report, ClassReport):
        return report.chance or {}
    label = report.shared.get("label")
    return {} if label is None else {"accuracy": label.chance}


def _bounds(report: ClassReport | RetrievalReport, score: str) -> tuple[float | None, ...]:
    held = report.intervals if isinstance(report, ClassReport) else None
    return (None, None) if held is None else held.bounds.get(score, (None, None))


def _shared(reports: Reports, style: Style) -> list[Table]:
    """Does a retrieval follow the label, or the voice? A row for each field that is known."""
    rows = [
        [str(report.file), name, *map(style.number, (of.share, of.chance, of.draws))]
        for report in reports
        if isinstance(report, RetrievalReport)
        for name, of in report.shared.items()
    ]
    if not rows:
        return []
    columns = ["file", "field", "draws that share it", "chance", "draws"]
    note = "chance: of draws from the whole pool alike"
    table = Table.of("Shared with the query", columns, rows, note)
    return [table.without_single_file(len(reports))]


def _runs(reports: Reports, style: Style) -> Table:
    on = [_trained_on(report) for report in reports]
    columns = ["file", "run", "count", *(["on"] if any(on) else []), *SCORES["predictions"]]
    rows = [
        [
            str(report.file),
            str(run.run),
            *(words if name == "on" else style.number(getattr(run, name)) for name in columns[2:]),
        ]
        for report, words in zip(reports, on)
        if isinstance(report, ClassReport)
        for run in report.runs
    ]
    return Table.of("Runs", style.headings(columns, HEADINGS), rows)


def _per_class(reports: Reports, style: Style) -> Table:
    scored = PER_CLASS[reports[0].content]
    rows = [
        [str(report.file), of_class, *(style.number(getattr(scores, name)) for name in scored)]
        for report in reports
        for of_class, scores in report.per_class.items()
    ]
    columns = style.headings(["file", "class", *scored], HEADINGS)
    return Table.of("Classes", columns, rows).without_single_file(len(reports))


def _confusion(reports: Reports) -> list[Table]:
    found = []
    for report in reports:
        on = _trained_on(report)
        names = report.confusion.classes
        rows = [[name, *map(str, counts)] for name, counts in zip(names, report.confusion.matrix)]
        title = "Confusion" if len(reports) == 1 else f"Confusion, {report.file}"
        title += f", on {on}" if on else ""
        found.append(Table.of(title, [CORNERS[report.content], *names], rows))
    return found
