"""Prints the scores of traces: tables, or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from avaffect.cli.console import headings, print_by_file, score_text
from avaffect.core.progress import Progress
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.scores import SCORE_WORDS, seen_words

SCORES = ("ccc", "pearson", "rmse", "mae")
# Numbers of utterances have no mean of recordings.
WAYS = {"traces": ("pooled", "mean"), "scalars": ("pooled",)}
HEADINGS = {"way": "of", "pooled": "all values", "mean": "recordings", "count": "values",
            "range": "95 % of CCC", **SCORE_WORDS}  # fmt: skip


def show(settings: EvalCccSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_ccc import eval_ccc

    reports = eval_ccc(settings, progress)
    if settings.output is not None or settings.dry_run:
        return
    if settings.json:
        for report in reports:
            print(json.dumps(report, ensure_ascii=False))
    elif settings.per_recording:
        _per_recording(reports)
    else:
        _scores(reports)


def _scores(reports: list[dict[str, Any]]) -> None:
    """Pooled and mean scores of each file and label. In a pipe, standard deviations over runs and
    the ends of intervals are columns of their own."""
    for_people, with_range = sys.stdout.isatty(), "interval" in reports[0]
    ends = [f"{name}_{end}" for name in SCORES for end in ("low", "high")]
    on = [seen_words(report.get("seen"), report["count"]) for report in reports]
    # Beside scores that everybody may believe there is no such column.
    column = ["on"] if any(on) else []
    if for_people:
        columns = ["file", "label", "way", *column, *SCORES, *["range"] * with_range]
    else:
        columns = ["file", "label", "way", *column, "runs", "recordings", "count", *SCORES]
        columns += [f"{name}_std" for name in SCORES] + ends * with_range
    rows = []
    for report, told in zip(reports, on):
        for label in report["labels"]:
            for way in WAYS[report["content"]]:
                start = [report["file"], label, *headings([way], HEADINGS), *[told] * bool(column)]
                rows.append(
                    start + (_for_people if for_people else _for_programs)(report, label, way)
                )
    print_by_file("Scores", headings(columns, HEADINGS), rows, len(reports) if for_people else 2)


def _for_people(report: dict[str, Any], label: str, way: str) -> list[str]:
    found, spread = report[way][label], report["std"][way][label]
    row = [score_text(found[name], spread[name]) for name in SCORES]
    if "interval" in report:
        low, high = report["interval"][way][label]["ccc"] or (None, None)
        row.append(f"{score_text(low)} to {score_text(high)}")
    return row


def _for_programs(report: dict[str, Any], label: str, way: str) -> list[str]:
    found, spread = report[way][label], report["std"][way][label]
    recordings = report["count"]
    if "recordings" in report:
        recordings = sum(label in own for own in report["recordings"].values())
    row = [str(len(report["runs"])), str(recordings), score_text(report["pooled"][label]["count"])]
    row += [score_text(scores[name]) for scores in (found, spread) for name in SCORES]
    if "interval" in report:
        for name in SCORES:
            row += map(score_text, report["interval"][way][label][name] or (None, None))
    return row


def _per_recording(reports: list[dict[str, Any]]) -> None:
    columns = ["file", "recording", "label", "count", *SCORES]
    rows = [
        [report["file"], identifier, label, *(score_text(own[label][name]) for name in columns[3:])]
        for report in reports
        for identifier, own in report["recordings"].items()
        for label in own
    ]
    print_by_file("Recordings", headings(columns, HEADINGS), rows, len(reports))
