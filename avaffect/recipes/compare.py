"""`compare`: scores of several reports side by side, with tests of their differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress, followed
from avaffect.evaluation.classification import defined
from avaffect.evaluation.statistics import TTest, mean_and_std, paired_t_test, welch_t_test
from avaffect.recipes.common import pictures, work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import curves, run_tables, utterance_tests
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.comparison import Compared, ComparedRow, Comparison
from avaffect.recipes.scoring.run_tables import Row, unlike_facts
from avaffect.settings.compare import CompareSettings

# Of classes UA, by which `finetune` chooses epochs, too: it does not depend on their balance.
DEFAULT_SCORES = {
    "predictions": "ua", "traces": "ccc", "scalars": "ccc", "ranking": "map",
    "embeddings": "davies_bouldin",
}  # fmt: skip


def compare(settings: CompareSettings, progress: Progress = SILENT) -> Comparison:
    """The comparison, also written to `settings.output`; see avaffect-compare(1).

    Raises DataError where a file holds no report of runs, or no report has a score; UsageError
    where reports are of different kinds, or no row is the baseline.
    """
    if settings.per_class and settings.json:
        raise UsageError("--per-class and --json exclude each other")
    pictures.check(settings.plot)
    rows = run_tables.read_rows(settings.reports, progress)
    baseline, against = _baselines(rows, settings.baseline)
    scores = _chosen(rows, settings.score, progress)
    for row, other in zip(rows, against):
        warning = training_speakers.warning(row.seen, row.facts.count)
        if warning is not None:
            progress.warn(f"{row.name}: {warning}")
        _warn(row, other, settings, progress)
    _warn_of_no_test(rows, against, settings, progress)
    if settings.per_class and not rows[0].classes:
        raise UsageError("--per-class goes with reports of classes")
    test = "unpaired" if settings.unpaired else "paired"
    inputs = [run_tables.identity_of(source) for source in settings.reports]
    report = Comparison(
        of=rows[0].content,
        scores=tuple(scores),
        baseline=baseline,
        test=test,
        rows=tuple(
            _tested(row, other, _described(row, other, scores, test), test, progress)
            for row, other in followed(list(zip(rows, against)), "compare", len(rows), "rows")
        ),
        chance=_chance(rows, scores),
        provenance=work.record("compare", settings, [i for i in inputs if i is not None]),
    )
    if settings.plot is not None:
        curves.draw(settings.plot, report, settings, progress)
    write_reports(
        settings, [report], progress, f"the comparison of {count_of(len(rows), 'report')}"
    )
    return report


def _chance(rows: Sequence[Row], scores: Sequence[str]) -> dict[str, dict[str, float]] | None:
    found = {r.name: {name: r.chance[name] for name in scores if name in r.chance} for r in rows}
    return found if any(found.values()) else None


def _baselines(rows: list[Row], wanted: str | None) -> tuple[str, list[Row | None]]:
    """The baseline of the rows: the name of a row or curve, and the baseline's row for each.

    Each point of a curve has its own; a row is not compared with itself (None).
    """
    kinds = {row.content for row in rows}
    if len(kinds) > 1:
        raise UsageError(
            f"reports of {' and of '.join(sorted(kinds))} do not compare: give them one by one"
        )
    if wanted is None:
        wanted = rows[0].point[0]
    named = [row for row in rows if wanted == row.name] or [
        row for row in rows if Path(wanted) == row.file
    ]
    points = {row.point[1]: row for row in rows if row.point[0] == wanted}
    if len(named) == 1:
        return named[0].name, [None if row is named[0] else named[0] for row in rows]
    if not points or named:
        names = ", ".join(row.name for row in rows)
        raise UsageError(f"--baseline {wanted}: no row, or several, have this name: {names}")
    found = [points.get(row.point[1]) for row in rows]
    return wanted, [None if row is other else other for row, other in zip(rows, found)]


def _chosen(rows: list[Row], wanted: tuple[str, ...], progress: Progress) -> list[str]:
    """The scores to compare; of traces, ccc alone means that of every label that all rows have. A
    score that is asked for by its whole name may be missing in some rows."""
    first, *others = rows
    shared = [name for name in first.scores if all(name in row.scores for row in others)]
    chosen: list[str] = []
    for text in wanted or (DEFAULT_SCORES[first.content],):
        found = [name for name in shared if text in (name, name.rpartition(".")[2])]
        lacking = [row.name for row in rows if text not in row.scores]
        if not found and text in wanted and len(lacking) < len(rows):
            found = [text]
            progress.warn(f"{', '.join(lacking)}: no score {text!r}; the cell stays empty")
        if not found:
            raise DataError(f"the reports have no score {text!r} in common (they have: "
                            f"{', '.join(shared) or 'none'}){meant(text, shared)}")  # fmt: skip
        chosen += [name for name in found if name not in chosen]
    return chosen


def _warn(row: Row, other: Row | None, settings: CompareSettings, progress: Progress) -> None:
    """Warn of rows that do not compare, and of tests that cannot be made."""
    if other is None:
        return
    unlike = unlike_facts(row, other)
    if unlike:
        words = ", ".join(
            _unlike_words(key, getattr(row.facts, key), getattr(other.facts, key)) for key in unlike
        )
        progress.warn(
            f"{row.name} and {other.name} do not score the same: {words}; no t-test between them"
        )
    elif _has_runs(row, other) and set(row.runs) != set(other.runs) and not settings.unpaired:
        progress.warn(
            f"{row.name}: no paired t-test: it has {count_of(len(row.runs), 'run')} "
            f"({work.some_of(list(map(str, row.runs)))}), others than the {len(other.runs)} of "
            f"{other.name}; see --unpaired"
        )


def _has_runs(row: Row, other: Row) -> bool:
    return min(len(row.runs), len(other.runs)) >= 2


def _warn_of_no_test(
    rows: Sequence[Row], against: Sequence[Row | None], settings: CompareSettings,
    progress: Progress,
) -> None:  # fmt: skip
    """Once for all rows that are tested neither over runs nor by utterance for the same reason."""
    names: dict[str, list[str]] = {}
    for row, other in zip(rows, against):
        if other is None or unlike_facts(row, other) or _has_runs(row, other):
            continue
        why = "--unpaired" if settings.unpaired else _not_by_utterance(row, other)
        if why is not None:
            names.setdefault(why, []).append(row.name)
    for why, untested in names.items():
        progress.warn(
            f"{work.some_of(untested)}: no t-test, for which both sides need two runs or more; no "
            f"test by utterance: {why}"
        )


def _not_by_utterance(row: Row, other: Row) -> str | None:
    """Why two rows are not tested by their utterances, in words; None where they are."""
    if row.alone is None or other.alone is None:
        return (
            "both sides must be of one run, predictions of classes or numbers (.jsonl) or reports "
            "of classes whose predictions are still where they were"
        )
    return utterance_tests.do_not_pair(row.alone, other.alone)


def _tested(
    row: Row, other: Row | None, described: ComparedRow, test: str, progress: Progress
) -> ComparedRow:
    """The row with tests by utterance, where both sides are single runs whose utterances pair."""
    if other is None or test != "paired" or unlike_facts(row, other):
        return described
    if row.alone is None or other.alone is None or _not_by_utterance(row, other) is not None:
        return described
    return utterance_tests.tested(described, row.alone, other.alone, progress)


def _unlike_words(key: str, value: Any, other: Any) -> str:
    if key == "gold":
        return "the gold of one is not that of the other"
    if key == "gold_labels":
        value, other = (", ".join(f"{a}={b}" for a, b in of.items()) for of in (value, other))
    return f"{key} is {value} and {other}"


def _described(row: Row, other: Row | None, scores: list[str], test: str) -> ComparedRow:
    curve, at = row.point
    missing = np.full(len(row.runs), np.nan)
    # A class or a score that the other report does not have is not compared.
    others = {} if other is None else {**other.scores, **other.classes}
    return ComparedRow(
        name=row.name,
        file=str(row.file),
        curve=curve if at is not None else None,
        at=at,
        against=None if other is None else other.name,
        runs=row.runs,
        facts=row.facts,
        seen=row.seen,
        scores={
            name: _compared(row, row.scores.get(name, missing), other, others.get(name), test)
            for name in scores
        },
        per_class={
            name: _compared(row, values, other, others.get(name), test)
            for name, values in row.classes.items()
        },
    )


def _compared(
    row: Row, values: np.ndarray, other: Row | None, others: np.ndarray | None, test: str
) -> Compared:
    """Mean and spread of one score over runs, and its difference from the baseline's.

    None: no baseline; no t-test for one run, for runs that do not pair, or for scores of other
    data.
    """
    known = values[~np.isnan(values)]
    mean, std = mean_and_std(known) if len(known) else (np.nan, np.nan)
    difference, found = np.nan, None
    if other is not None and others is not None:
        known_others = others[~np.isnan(others)]
        difference = mean - known_others.mean() if len(known_others) else np.nan
        if not unlike_facts(row, other):
            paired = test == "paired"
            found = _paired(row, values, other, others) if paired else _welch(known, known_others)
    return Compared(
        values=tuple(defined(value) for value in values),
        mean=defined(mean),
        std=defined(std),
        difference=defined(found.difference if found else difference),
        t=found.t if found and np.isfinite(found.t) else None,
        degrees=found.degrees if found else None,
        p=found.p if found else None,
    )


def _welch(values: np.ndarray, others: np.ndarray) -> TTest | None:
    return welch_t_test(values, others) if min(len(values), len(others)) > 1 else None


def _paired(row: Row, values: np.ndarray, other: Row, others: np.ndarray) -> TTest | None:
    """By run number; None unless the runs are the same, and two of them have both scores."""
    mine, theirs = dict(zip(row.runs, values)), dict(zip(other.runs, others))
    if mine.keys() != theirs.keys():
        return None
    pairs = np.array([(mine[run], theirs[run]) for run in row.runs])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    return paired_t_test(pairs[:, 0], pairs[:, 1]) if len(pairs) > 1 else None
