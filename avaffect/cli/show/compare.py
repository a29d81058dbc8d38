"""Prints a comparison of reports: a table, or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from avaffect.cli.console import print_table, score_text
from avaffect.core.progress import Progress
from avaffect.settings.compare import CompareSettings
from avaffect.settings.scores import score_words, seen_words

# As papers mark them.
STARS = ((0.01, "**"), (0.05, "*"))


def show(settings: CompareSettings, progress: Progress) -> None:
    from avaffect.recipes.compare import compare

    report = compare(settings, progress)
    if settings.output is not None or settings.dry_run:
        return
    if settings.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    if sys.stdout.isatty():
        progress.say(
            f"differences from {report['baseline']}; * p < 0.05, ** p < 0.01 in a "
            f"{report['test']} t-test over runs"
        )
    told = [seen_words(row["seen"], row["count"]) for row in report["rows"]]
    # Beside scores that everybody may believe there is no such column.
    on = ["on"] if any(told) else []
    if settings.per_class:
        rows = [
            ([row["name"], name, str(len(row["runs"])), *[words] * len(on)], {"f1": of_class})
            for row, words in zip(report["rows"], told)
            for name, of_class in row["per_class"].items()
        ]
        _print("Classes", ["name", "class", "runs", *on], ["f1"], rows)
    else:
        rows = [
            ([row["name"], str(len(row["runs"])), *[words] * len(on)], row["scores"])
            for row, words in zip(report["rows"], told)
        ]
        _print("Comparison", ["name", "runs", *on], report["scores"], rows)


Rows = list[tuple[list[str], dict[str, Any]]]


def _print(title: str, start: list[str], scores: list[str], rows: Rows) -> None:
    columns, cells = (_words, _for_people) if sys.stdout.isatty() else (_columns, _for_programs)
    # People see by the stars whether p is small; with one score there is room for the number.
    width = 2 if sys.stdout.isatty() and len(scores) > 1 else None
    print_table(
        title,
        start + [column for score in scores for column in columns(score)[:width]],
        [begun + [c for s in scores for c in cells(found[s])[:width]] for begun, found in rows],
    )


def _words(score: str) -> list[str]:
    return [score_words(score), "difference", "p"]


def _for_people(found: dict[str, Any]) -> list[str]:
    difference, p = found["difference"], found["p"]
    stars = next((mark for bound, mark in STARS if p is not None and p < bound), "")
    return [
        score_text(found["mean"], found["std"]),
        "" if difference is None else f"{difference:+.3f}{stars}",
        "" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}",
    ]


def _columns(score: str) -> list[str]:
    ends = ("", "_std", "_difference", "_t", "_degrees", "_p")
    return [score + end for end in ends]


def _for_programs(found: dict[str, Any]) -> list[str]:
    exact = [f"{found[k]:.6g}" if found[k] is not None else "" for k in ("t", "degrees", "p")]
    return [*(score_text(found[k]) for k in ("mean", "std", "difference")), *exact]
