"""Prints the scores of classes: tables, or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from avaffect.cli.console import headings, print_by_file, print_table, score_text
from avaffect.core.progress import Progress
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.scores import SCORE_WORDS, seen_words

SCORES = {
    "predictions": ("accuracy", "ua", "f1_micro", "f1_macro"),
    "retrieval": ("accuracy", "macro"),
}
FACTS = {
    "predictions": ("count", "missing_gold"),
    "retrieval": ("queries", "count", "missing_gold", "distinct", "effective_size"),
}
HEADINGS = {"missing_gold": "unlabelled", "effective_size": "effective size", **SCORE_WORDS}
CORNERS = {"predictions": "true \\ predicted", "retrieval": "query's \\ true"}


def show(settings: EvalClassSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_class import eval_class

    reports = eval_class(settings, progress)
    if settings.output is not None or settings.dry_run:
        return
    if settings.json:
        for report in reports:
            print(json.dumps(report, ensure_ascii=False))
        return
    show = [name for name in ("runs", "per_class", "confusion") if getattr(settings, name)]
    if not show:
        # In a pipe one table, which other tools can read; on a terminal all that there is.
        show = ["scores"]
        if sys.stdout.isatty() and len(reports) == 1:
            show += ["per_class", "confusion"]
    tables = {"scores": _scores, "runs": _runs, "per_class": _per_class, "confusion": _confusion}
    for name in show:
        tables[name](reports)


def _scores(reports: list[dict[str, Any]]) -> None:
    """A row for each file. In a pipe standard deviations are columns of their own."""
    content = reports[0]["content"]
    # Of votes for classes.
    votes = [name for name in ("kl", "ce") if any(name in report for report in reports)]
    scores = (*SCORES[content], *votes)
    with_runs = content == "predictions"
    on = [seen_words(report.get("seen"), report["count"]) for report in reports]
    # Beside scores that everybody may believe there is no such column.
    column = ["on"] if any(on) else []
    columns = ["file", *(["runs"] if with_runs else []), *FACTS[content], *column, *scores]
    rows = []
    for report, told in zip(reports, on):
        spread = report.get("std", {})
        rows.append(
            [
                report["file"],
                *([str(len(report["runs"]))] if with_runs else []),
                *(score_text(report[name]) for name in FACTS[content]),
                *([told] if column else []),
                *(score_text(report.get(name), spread.get(name)) for name in scores),
            ]
        )
        if with_runs and not sys.stdout.isatty():
            rows[-1] += [score_text(spread.get(name)) for name in scores]
    if with_runs and not sys.stdout.isatty():
        columns += [f"{name}_std" for name in scores]
    print_table("Scores", headings(columns, HEADINGS), rows)


def _runs(reports: list[dict[str, Any]]) -> None:
    on = [seen_words(report.get("seen"), report["count"]) for report in reports]
    columns = ["file", "run", "count", *(["on"] if any(on) else []), *SCORES["predictions"]]
    rows = [
        [
            report["file"],
            str(run["run"]),
            *(told if name == "on" else score_text(run[name]) for name in columns[2:]),
        ]
        for report, told in zip(reports, on)
        for run in report.get("runs", ())
    ]
    print_table("Runs", headings(columns, HEADINGS), rows)


def _per_class(reports: list[dict[str, Any]]) -> None:
    scored = list(next(iter(reports[0]["per_class"].values())))
    columns = ["file", "class", *scored]
    rows = [
        [report["file"], of_class, *(score_text(scores[name]) for name in scored)]
        for report in reports
        for of_class, scores in report["per_class"].items()
    ]
    print_by_file("Classes", headings(columns, HEADINGS), rows, len(reports))


def _confusion(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        on = seen_words(report.get("seen"), report["count"])
        names = report["confusion"]["classes"]
        matrix = report["confusion"]["matrix"]
        corner = CORNERS[report["content"]]
        rows = [[name, *map(str, counts)] for name, counts in zip(names, matrix)]
        title = "Confusion" if len(reports) == 1 else f"Confusion, {report['file']}"
        print_table(title + (f", on {on}" if on else ""), [corner, *names], rows)
