"""Tables of `eval-rank`."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.table import Style, Table
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.settings.scores import SCORE_WORDS, training_words

HEADINGS = {**SCORE_WORDS, "ap": "AP"}


def tables(reports: Sequence[RankReport], style: Style, per_recording: bool = False) -> list[Table]:
    """Scores of each file and label, or those of each recording."""
    return [_per_recording(reports, style) if per_recording else _scores(reports, style)]


def _scores(reports: Sequence[RankReport], style: Style) -> Table:
    """In a pipe the standard deviation over runs is a column of its own."""
    on = [training_words(report.seen, report.count) for report in reports]
    # Scores on held-out speakers alone need no such column.
    column = ["on"] if any(on) else []
    columns = ["file", "label", *column, "recordings", "map", "chance"]
    if not style.for_people:
        columns = ["file", "label", *column, "runs", "recordings", "map", "map_std", "chance"]
    rows = []
    for report, words in zip(reports, on):
        for label in report.labels:
            count = str(sum(label in own for own in report.recordings.values()))
            start = [report.file, label, *[words] * len(column)]
            found, spread, chance = report.map[label], report.std[label], report.chance[label]
            if style.for_people:
                scores = [count, style.number(found, spread), style.number(chance)]
            else:
                scores = [str(len(report.runs)), count, *map(style.number, (found, spread, chance))]
            rows.append([*start, *scores])
    table = Table.of("Scores", style.headings(columns, HEADINGS), rows)
    return table.without_single_file(len(reports)) if style.for_people else table


def _per_recording(reports: Sequence[RankReport], style: Style) -> Table:
    columns = ["file", "recording", "label", "segments", "relevant", "ap", "chance"]
    rows = [
        [report.file, identifier, label, str(own.segments), str(own.relevant),
         style.number(own.ap), style.number(own.chance)]
        for report in reports
        for identifier, labels in report.recordings.items()
        for label, own in labels.items()
    ]  # fmt: skip
    table = Table.of("Recordings", style.headings(columns, HEADINGS), rows)
    return table.without_single_file(len(reports))
