"""Tables of `eval-ccc`."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.table import Style, Table
from avaffect.evaluation.concordance import SCORES
from avaffect.evaluation.statistics import mean_defined
from avaffect.recipes.scoring.reports.traces import ConcordanceReport, TraceReport
from avaffect.settings.scores import SCORE_WORDS, training_words

HEADINGS = {"way": "of", "pooled": "all values", "mean": "recordings", "count": "values",
            "range": "95 % of CCC", **SCORE_WORDS}  # fmt: skip
# Scores of which it is known what a constant gives.
WITH_CHANCE = ("ccc", "pearson", "rmse")


def tables(
    reports: Sequence[ConcordanceReport],
    style: Style,
    per_recording: bool = False,
    accuracy: bool = False,
) -> list[Table]:
    """Pooled and mean scores of each file and label, or those of each recording; accuracies of each
    file, and groups, which in a pipe are the one table where they were asked for."""
    first = _per_recording(reports, style) if per_recording else _scores(reports, style)
    groups = _groups(reports, style)
    if groups and not style.for_people:
        return groups
    return [first, *([_accuracies(reports, style)] if accuracy else []), *groups]


def _groups(reports: Sequence[ConcordanceReport], style: Style) -> list[Table]:
    rows = [
        [str(report.file), field, group.value, str(group.count),
         ("few" if style.for_people else "1") if group.few else "" if style.for_people else "0",
         label, *(style.number(getattr(of, name)) for name in SCORES)]
        for report in reports
        for field, groups in (report.groups or {}).items()
        for group in groups
        for label, of in group.scores.items()
    ]  # fmt: skip
    if not rows:
        return []
    names = ["file", "field", "value", "count", "few", "label", *SCORES]
    headings = {**SCORE_WORDS, "few": ""} if style.for_people else {}
    table = Table.of("Groups", style.headings(names, headings), rows)
    return [table.without_single_file(len(reports)) if style.for_people else table]


def _accuracies(reports: Sequence[ConcordanceReport], style: Style) -> Table:
    """1 - MAE of all values of each label, and the mean over labels, in columns."""
    labels = list(dict.fromkeys(label for report in reports for label in report.labels))
    rows = []
    for report in reports:
        found = {n: None if a.mae is None else 1 - a.mae for n, a in report.pooled.items()}
        spread = {name: own.mae for name, own in report.std.pooled.items()}
        cells = [style.number(found.get(name), spread.get(name)) for name in labels]
        rows.append([report.file, *cells, style.number(mean_defined(list(found.values())))])
    table = Table.of("1 - MAE", style.headings(["file", *labels, "average"], HEADINGS), rows)
    return table.without_single_file(len(reports))


def _scores(reports: Sequence[ConcordanceReport], style: Style) -> Table:
    """In a pipe standard deviations over runs and the ends of intervals are columns of their
    own."""
    with_range = reports[0].interval is not None
    ends = [f"{name}_{end}" for name in SCORES for end in ("low", "high")]
    on = [training_words(report.seen, report.count) for report in reports]
    # Scores on held-out speakers alone need no such column.
    column = ["on"] if any(on) else []
    if style.for_people:
        columns = ["file", "label", "way", *column, *SCORES, *["range"] * with_range]
    else:
        columns = ["file", "label", "way", *column, "runs", "recordings", "count", *SCORES]
        columns += [f"{name}_std" for name in SCORES] + ends * with_range
        columns += [f"{name}_chance" for name in WITH_CHANCE]
    rows = []
    for report, words in zip(reports, on):
        for label in report.labels:
            for way in report.ways:
                start = [report.file, label, *style.headings([way], HEADINGS)]
                start += [words] * bool(column)
                cells = _for_people if style.for_people else _for_programs
                rows.append(start + cells(report, label, way, style))
            if style.for_people and report.chance:
                of = report.chance[label]
                cells_of = [style.number(of.get(name)) for name in SCORES]
                end = [""] * with_range
                rows.append([report.file, label, "chance", *[""] * len(column), *cells_of, *end])
    table = Table.of("Scores", style.headings(columns, HEADINGS), rows)
    return table.without_single_file(len(reports)) if style.for_people else table


def _for_people(report: ConcordanceReport, label: str, way: str, style: Style) -> list[str]:
    found, spread = getattr(report, way)[label], getattr(report.std, way)[label]
    row = [style.number(getattr(found, name), getattr(spread, name)) for name in SCORES]
    if report.interval is not None:
        low, high = getattr(report.interval, way)[label]["ccc"] or (None, None)
        row.append(f"{style.number(low)} to {style.number(high)}")
    return row


def _for_programs(report: ConcordanceReport, label: str, way: str, style: Style) -> list[str]:
    found, spread = getattr(report, way)[label], getattr(report.std, way)[label]
    recordings = report.count
    if isinstance(report, TraceReport):
        recordings = sum(label in own for own in report.recordings.values())
    row = [str(len(report.runs)), str(recordings), style.number(report.pooled[label].count)]
    row += [style.number(getattr(scores, name)) for scores in (found, spread) for name in SCORES]
    if report.interval is not None:
        for name in SCORES:
            row += map(style.number, getattr(report.interval, way)[label][name] or (None, None))
    of_way = (report.chance or {}).get(label, {}) if way == "pooled" else {}
    return [*row, *(style.number(of_way.get(name)) for name in WITH_CHANCE)]


def _per_recording(reports: Sequence[ConcordanceReport], style: Style) -> Table:
    columns = ["file", "recording", "label", "count", *SCORES]
    rows = [
        [report.file, identifier, label, *(style.number(getattr(scores, n)) for n in columns[3:])]
        for report in reports
        if isinstance(report, TraceReport)
        for identifier, own in report.recordings.items()
        for label, scores in own.items()
    ]
    table = Table.of("Recordings", style.headings(columns, HEADINGS), rows)
    return table.without_single_file(len(reports))
