"""`compare`: scores of several reports side by side, and whether they differ beyond chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.evaluation.classification import defined
from avaffect.evaluation.statistics import TTest, mean_and_std, paired_t_test, welch_t_test
from avaffect.recipes import common, score_rows
from avaffect.recipes.reports import Report, write_reports
from avaffect.recipes.score_rows import Row
from avaffect.settings.compare import CompareSettings

DEFAULT_SCORES = {"predictions": "f1_macro", "traces": "ccc"}


def compare(settings: CompareSettings, progress: Progress = SILENT) -> Report:
    """The comparison, JSON-able, also written to `settings.output`; see avaffect-compare(1).

    Raises DataError where a file holds no report of runs, or a report lacks a score; UsageError
    where reports are of different kinds, or no row is the baseline.
    """
    if settings.per_class and settings.json:
        raise UsageError("--per-class and --json exclude each other")
    rows = score_rows.read_rows(settings.reports, progress)
    baseline = _baseline(rows, settings.baseline)
    scores = _chosen(rows, settings.score)
    _warn(rows, baseline, settings, progress)
    if settings.per_class and not baseline.classes:
        raise UsageError("--per-class goes with reports of classes")
    test = "unpaired" if settings.unpaired else "paired"
    inputs = [score_rows.identity_of(source) for source in settings.reports]
    report = {
        "content": "comparison",
        "of": baseline.content,
        "scores": scores,
        "baseline": baseline.name,
        "test": test,
        "rows": [_described(row, baseline, scores, test) for row in rows],
        "provenance": common.record("compare", settings, [i for i in inputs if i is not None]),
    }
    write_reports(settings, [report], progress, f"the comparison of {len(rows)} reports")
    return report


def _baseline(rows: list[Row], wanted: str | None) -> Row:
    kinds = {row.content for row in rows}
    if len(kinds) > 1:
        raise UsageError("reports of classes and of traces do not compare: give them one by one")
    if wanted is None:
        return rows[0]
    found = [row for row in rows if wanted == row.name]
    found = found or [row for row in rows if Path(wanted) == row.file]
    if len(found) != 1:
        names = ", ".join(row.name for row in rows)
        raise UsageError(f"--baseline {wanted}: no row, or several, are called that: {names}")
    return found[0]


def _chosen(rows: list[Row], wanted: tuple[str, ...]) -> list[str]:
    """The scores to compare; of traces, ccc alone means that of every label that all rows have."""
    first, *others = rows
    shared = [name for name in first.scores if all(name in row.scores for row in others)]
    chosen: list[str] = []
    for text in wanted or (DEFAULT_SCORES[first.content],):
        found = [name for name in shared if text in (name, name.rpartition(".")[2])]
        if not found:
            raise DataError(f"the reports have no score {text!r} in common (they have: "
                            f"{', '.join(shared) or 'none'})")  # fmt: skip
        chosen += [name for name in found if name not in chosen]
    return chosen


def _warn(rows: list[Row], baseline: Row, settings: CompareSettings, progress: Progress) -> None:
    """Of rows that do not compare, and of tests that cannot be made."""
    for row in rows:
        for key, value in row.facts.items():
            if value != baseline.facts[key]:
                progress.warn(
                    f"{row.name} and {baseline.name} do not score the same: {key} is {value} and "
                    f"{baseline.facts[key]}"
                )
        few = min(len(row.runs), len(baseline.runs)) < 2
        if row is baseline or (settings.unpaired and not few):
            continue
        if few:
            progress.warn(f"{row.name}: no t-test, for which both sides need two runs or more")
        elif set(row.runs) != set(baseline.runs):
            progress.warn(
                f"{row.name}: no paired t-test: it has {len(row.runs)} runs "
                f"({common.some_of(list(map(str, row.runs)))}), others than the "
                f"{len(baseline.runs)} of {baseline.name}; see --unpaired"
            )


def _described(row: Row, baseline: Row, scores: list[str], test: str) -> dict[str, Any]:
    def against(mine: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        return _compared(row, mine, baseline, other, test)

    missing = np.full(len(baseline.runs), np.nan)
    return {
        "name": row.name,
        "file": str(row.file),
        "runs": list(row.runs),
        **row.facts,
        "scores": {name: against(row.scores[name], baseline.scores[name]) for name in scores},
        "per_class": {
            name: against(values, baseline.classes.get(name, missing))
            for name, values in row.classes.items()
        },
    }


def _compared(
    row: Row, values: np.ndarray, baseline: Row, others: np.ndarray, test: str
) -> dict[str, Any]:
    """Mean and spread of one score over runs, and its difference from the baseline's.

    What cannot be computed is None: a t-test of one run, or of runs that do not pair.
    """
    known, other = values[~np.isnan(values)], others[~np.isnan(others)]
    mean, std = mean_and_std(known) if len(known) else (np.nan, np.nan)
    found: TTest | None = None
    if row is not baseline:
        found = (
            _welch(known, other) if test == "unpaired" else _paired(row, values, baseline, others)
        )
    difference = np.nan if row is baseline or not len(other) else mean - other.mean()
    return {
        "values": [defined(value) for value in values],
        "mean": defined(mean),
        "std": defined(std),
        "difference": defined(found.difference if found else difference),
        "t": found.t if found and np.isfinite(found.t) else None,
        "degrees": found.degrees if found else None,
        "p": found.p if found else None,
    }


def _welch(values: np.ndarray, others: np.ndarray) -> TTest | None:
    return welch_t_test(values, others) if min(len(values), len(others)) > 1 else None


def _paired(row: Row, values: np.ndarray, baseline: Row, others: np.ndarray) -> TTest | None:
    """By run number; None unless the runs are the same, and two of them have both scores."""
    mine, theirs = dict(zip(row.runs, values)), dict(zip(baseline.runs, others))
    if mine.keys() != theirs.keys():
        return None
    pairs = np.array([(mine[run], theirs[run]) for run in row.runs])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    return paired_t_test(pairs[:, 0], pairs[:, 1]) if len(pairs) > 1 else None
