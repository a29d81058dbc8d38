"""`eval-rank`: score how predictions over time rank what is relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.evaluation.classification import defined
from avaffect.evaluation.ranking import average_precision, expected_precision
from avaffect.evaluation.statistics import mean_and_std
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import gold_traces
from avaffect.recipes.scoring.gold_traces import Trace, TraceSource
from avaffect.recipes.scoring.reports.ranking import RankedRecording, RankReport, RankRun
from avaffect.recipes.scoring.reports.traces import Missing
from avaffect.recipes.scoring.trace_alignment import (
    Overhangs,
    aligned,
    as_one_recording,
    matched,
    under_common_ids,
    with_common_labels,
)
from avaffect.recipes.scoring.trace_reports import reports_of
from avaffect.settings.eval_rank import EvalRankSettings


def eval_rank(settings: EvalRankSettings, progress: Progress = SILENT) -> Sequence[RankReport]:
    """Score each file or folder: one report each, also written to `settings.output`.

    Raises DataError where predictions and gold share no label, no recording, or no time within a
    recording, nothing is relevant, or a run predicts nothing.
    """
    if settings.per_recording and settings.json:
        raise UsageError("--per-recording and --json exclude each other: JSON has all scores")
    if [*settings.predictions, *settings.gold].count(Path("-")) > 1:
        raise UsageError("standard input is one manifest: name - once")
    sources = [gold_traces.read(path) for path in settings.gold]
    gold = gold_traces.of_one_rater(gold_traces.joined(sources), settings.raters)
    return reports_of(
        "eval-rank",
        settings,
        settings.predictions,
        sources,
        lambda file, predicted: _score(file, predicted, gold, settings, progress),
        progress,
    )


@dataclass(frozen=True)
class _Ranked:
    """One label: of K recordings with something relevant, their scores and precisions (runs, K),
    NaN where a run does not predict a recording; and the ids of the others, by what they lack:
    anything relevant, or anything that is not."""

    recordings: dict[str, RankedRecording]
    precisions: np.ndarray
    without: list[str]
    throughout: list[str]

    @property
    def of_runs(self) -> list[float]:
        return [float(np.nanmean(row)) for row in self.precisions]


def _score(
    file: str,
    predicted: TraceSource,
    gold: TraceSource,
    settings: EvalRankSettings,
    progress: Progress,
) -> RankReport:
    """The report of one source, without gold and provenance."""
    name = predicted.name
    predicted = under_common_ids(as_one_recording(predicted, gold), gold, progress)
    predicted, gold, names = with_common_labels(predicted, gold, settings.label, progress)
    there = matched(predicted, gold, settings.split)
    there.report(name, progress)
    overhangs = Overhangs()
    found = {
        label: _ranked(f"{name}: {label}", there.common, traces, gold.labels[label], settings,
                       overhangs, progress)
        for label, traces in predicted.labels.items()
    }  # fmt: skip
    overhangs.report(name, progress)
    seen = predicted.trained_on(there.common)
    warning = training_speakers.warning(seen, len(there.common))
    if warning is not None:
        progress.warn(f"{name}: {warning}")
    counts = {len(of.of_runs) for of in found.values()}
    if len(counts) > 1:
        raise DataError(f"{name}: labels have different numbers of runs; score them one by one")
    scores = {label: mean_and_std(of.of_runs) for label, of in found.items()}
    chance = {
        label: float(np.mean([own.chance for own in of.recordings.values()]))
        for label, of in found.items()
    }
    return RankReport(
        file=file,
        labels=tuple(found),
        gold_labels=names,
        split=there.split,
        threshold=settings.threshold,
        raters=settings.raters,
        map={label: mean for label, (mean, _) in scores.items()},
        std={label: defined(std) for label, (_, std) in scores.items()},
        chance=chance,
        recordings={
            i: {label: of.recordings[i] for label, of in found.items() if i in of.recordings}
            for i in there.common
        },
        count=len(there.common),
        missing=Missing(
            predictions=tuple(there.without_prediction), gold=tuple(there.without_gold)
        ),
        without={label: tuple(of.without) for label, of in found.items()},
        throughout={label: tuple(of.throughout) for label, of in found.items()},
        seen=seen,
        runs=tuple(
            RankRun(run=run, map={label: of.of_runs[run] for label, of in found.items()})
            for run in range(counts.pop())
        ),
    )


def _ranked(
    name: str,
    ids: Sequence[str],
    predicted: dict[str, Trace],
    gold: dict[str, Trace],
    settings: EvalRankSettings,
    overhangs: Overhangs,
    progress: Progress,
) -> _Ranked:
    """One label, over the recordings that have it on both sides."""
    recordings: dict[str, RankedRecording] = {}
    rows: list[list[float]] = []
    without: list[str] = []
    throughout: list[str] = []
    unpredicted = 0
    for identifier in (i for i in ids if i in predicted and i in gold):
        pair = aligned(predicted[identifier], gold[identifier])
        if pair is None:
            raise DataError(
                f"{name}: predictions and gold of {identifier} have no time in common; times are "
                "in seconds"
            )
        overhangs.add(identifier, pair)
        unpredicted += pair.unpredicted
        known = ~np.isnan(pair.true)
        relevant = pair.true[known] > settings.threshold
        if relevant.all() or not relevant.any():
            # The precision of any order is the same.
            (throughout if relevant.any() else without).append(identifier)
            continue
        runs = pair.predicted[known].T
        rows.append([_precision(run, relevant) for run in runs])
        if len(rows[-1]) != len(rows[0]):
            raise DataError(
                f"{name}: not all recordings are predicted by {count_of(len(rows[0]), 'run')}"
            )
        if np.isnan(rows[-1]).all():
            raise DataError(f"{name}: no run predicts a relevant segment of {identifier}")
        recordings[identifier] = RankedRecording(
            ap=float(np.nanmean(rows[-1])),
            chance=expected_precision(len(relevant), int(relevant.sum())),
            segments=len(relevant),
            relevant=int(relevant.sum()),
        )
    if not rows:
        raise DataError(
            f"{name}: there is nothing to rank: the gold is above {settings.threshold:g} nowhere "
            f"in {count_of(len(without), 'recording')}, and throughout {len(throughout)}; see "
            "--threshold"
        )
    precisions = np.array(rows).T
    silent = np.flatnonzero(np.isnan(precisions).all(axis=1))
    if len(silent):
        raise DataError(f"{name}: run {silent[0]} predicts none of the recordings")
    _report(name, precisions.shape[1], without, throughout, unpredicted, progress)
    return _Ranked(recordings, precisions, without, throughout)


def _precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Of the segments that a run predicts; NaN where it predicts none that is relevant."""
    there = ~np.isnan(scores)
    return average_precision(scores[there], relevant[there])


def _report(
    name: str,
    count: int,
    without: Sequence[str],
    throughout: Sequence[str],
    unpredicted: int,
    progress: Progress,
) -> None:
    for left_out, what in ((without, "nothing"), (throughout, "everything")):
        if left_out:
            progress.say(
                f"{name}: {count_of(len(left_out), 'recording is', 'recordings are')} left out, "
                f"for {what} is relevant in them: {work.some_of(list(left_out))}"
            )
    if unpredicted:
        progress.warn(f"{name}: {count_of(unpredicted, 'segment')} without a prediction left out")
    progress.say(f"{name}: {count_of(count, 'recording')}")
