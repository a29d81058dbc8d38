"""`eval-ccc`: score predicted traces of continuous affect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.evaluation import concordance
from avaffect.evaluation.concordance import CountedAgreement
from avaffect.evaluation.trace_scale import beyond_scale
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import concordance_groups, gold_names, gold_traces, scalar_scores
from avaffect.recipes.scoring.concordance_groups import FEW_RECORDINGS, Groups
from avaffect.recipes.scoring.gold_traces import Trace, TraceSource
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.traces import (
    ConcordanceReport,
    Interval,
    Missing,
    Spread,
    TraceReport,
    TraceRun,
)
from avaffect.recipes.scoring.trace_alignment import (
    Overhangs,
    aligned,
    as_one_recording,
    matched,
    under_common_ids,
    with_common_labels,
)
from avaffect.recipes.scoring.trace_reports import reports_of
from avaffect.recipes.scoring.trace_scores import (
    LEVEL,
    WAYS,
    LabelMoments,
    LabelScores,
    intervals,
    over_runs,
)
from avaffect.settings.eval_ccc import EvalCccSettings

# One draw lies beyond each end of the interval.
FEWEST_DRAWS = 40


def eval_ccc(settings: EvalCccSettings, progress: Progress = SILENT) -> Sequence[ConcordanceReport]:
    """Score each file or folder: one report each, also written to `settings.output`.

    Raises DataError where predictions and gold share no label, no recording, or no time within a
    recording, or a run predicts nothing.
    """
    _check(settings)
    of_utterances = [scalar_scores.is_of_scalars(path, settings) for path in settings.predictions]
    if any(of_utterances):
        if not all(of_utterances):
            raise UsageError("traces and numbers of utterances are scored one by one")
        if settings.per_recording or settings.rate or settings.delay:
            raise UsageError("--per-recording, --rate and --delay go with traces")
        of_scalars = [
            scalar_scores.report_of(path, settings, progress) for path in settings.predictions
        ]
        write_reports(settings, of_scalars, progress)
        return of_scalars
    if settings.id_column is not None:
        raise UsageError("--id goes with tables of scalars; traces are matched by their files")
    if not settings.gold:
        raise UsageError("--gold is needed: gold traces for the predictions")
    about = [path for path in settings.gold if settings.by and gold_traces.is_of_fields(path)]
    sources = [gold_traces.read(path) for path in settings.gold if path not in about]
    if not sources:
        raise DataError(f"{about[0]} holds no traces: name gold traces with --gold, too")
    raters = gold_traces.joined(sources)
    gold = gold_traces.of_one_rater(raters, settings.raters)
    for source in sources:
        if source.made_by == "predict":
            progress.warn(
                f"{source.name}: predict made this --gold; predictions come first, and gold traces "
                "after --gold"
            )
    return reports_of(
        "eval-ccc",
        settings,
        settings.predictions,
        sources,
        lambda file, predicted: _score(file, predicted, gold, raters, settings, progress),
        progress,
        gold_names.inputs(about),
    )


def _check(settings: EvalCccSettings) -> None:
    for flag, given in (
        ("--per-recording", settings.per_recording), ("--accuracy", settings.accuracy),
    ):  # fmt: skip
        if given and settings.json:
            raise UsageError(f"{flag} and --json exclude each other: JSON has all scores")
    if settings.per_recording and settings.bootstrap:
        raise UsageError(
            "--per-recording shows no intervals: leave --bootstrap out, or take --json"
        )
    if settings.bootstrap and settings.bootstrap < FEWEST_DRAWS:
        raise UsageError(
            f"--bootstrap {settings.bootstrap}: the ends of an interval of 95 % need {FEWEST_DRAWS}"
            " draws or more"
        )
    if [*settings.predictions, *settings.gold].count(Path("-")) > 1:
        raise UsageError("standard input is one manifest: name - once")


def _score(
    file: str,
    predicted: TraceSource,
    gold: TraceSource,
    raters: TraceSource,
    settings: EvalCccSettings,
    progress: Progress,
) -> TraceReport:
    """The report of one source, without gold and provenance.

    raters: names of the gold standard and its raters.
    """
    name = predicted.name
    predicted = under_common_ids(as_one_recording(predicted, gold), gold, progress)
    predicted, gold, names = with_common_labels(predicted, gold, settings.label, progress)
    recordings = matched(predicted, gold, settings.split)
    recordings.report(name, progress)
    overhangs = Overhangs()
    found = {
        label: _moments(f"{name}: {label}", recordings.common, traces, gold.labels[label],
                        settings, overhangs)
        for label, traces in predicted.labels.items()
    }  # fmt: skip
    overhangs.report(name, progress)
    _warn(name, found, progress)
    for label, other in names.items():
        of_raters = raters.labels[other]
        _warn_of_scale(label, gold, of_raters, recordings.common, progress)
    biased = not settings.unbiased
    scores = {label: over_runs(f"{name}: {label}", of, biased) for label, of in found.items()}
    learned = predicted.trained_on(recordings.common)
    _report_counts(name, len(recordings.common), learned, scores, progress)
    return TraceReport(
        file=file,
        labels=tuple(scores),
        gold_labels=names,
        split=recordings.split,
        variant="biased" if biased else "unbiased",
        raters=settings.raters,
        delay=settings.delay,
        rate_hz=settings.rate or _common_rate(gold, recordings.common),
        pooled={label: of.pooled for label, of in scores.items()},
        mean={label: of.mean for label, of in scores.items()},
        std=Spread(**{way: {n: of.std[way] for n, of in scores.items()} for way in WAYS}),
        recordings=_by_recording(scores, recordings.common),
        interval=_interval(name, found, settings) if settings.bootstrap else None,
        count=len(recordings.common),
        missing=Missing(
            predictions=tuple(recordings.without_prediction), gold=tuple(recordings.without_gold)
        ),
        truncated=overhangs.described(),
        unpredicted={label: of.unpredicted for label, of in found.items()},
        constant={label: tuple(of.constant) for label, of in found.items()},
        seen=learned,
        runs=_runs(scores),
        chance=concordance_groups.chance(found),
        groups=_groups(predicted, found, settings, progress),
    )


def _by_recording(
    scores: Mapping[str, LabelScores], ids: Sequence[str]
) -> dict[str, dict[str, CountedAgreement]]:
    own = {label: of.recordings for label, of in scores.items()}
    return {i: {label: of[i] for label, of in own.items() if i in of} for i in ids}


def _groups(
    predicted: TraceSource, found: Mapping[str, LabelMoments], settings: EvalCccSettings,
    progress: Progress,
) -> Groups | None:  # fmt: skip
    if not settings.by:
        return None
    files = [path for path in (*settings.gold, predicted.path) if path is not None]
    return concordance_groups.grouped(
        predicted.name, found, settings.by, (), files, FEW_RECORDINGS, not settings.unbiased,
        progress,
    )  # fmt: skip


def _report_counts(
    name: str, count: int, learned: dict[str, int] | None, scores: Mapping[str, LabelScores],
    progress: Progress,
) -> None:  # fmt: skip
    """How many recordings and values are scored, and a warning where training used them."""
    warning = training_speakers.warning(learned, count)
    if warning is not None:
        progress.warn(f"{name}: {warning}")
    values = ", ".join(f"{_count_words(of)} of {n}" for n, of in scores.items())
    progress.say(f"{name}: {count_of(count, 'recording')}, {values}")


def _count_words(scores: LabelScores) -> str:
    counts = sorted({run.pooled.count or 0 for run in scores.runs})
    if counts[0] < counts[-1]:
        return f"{counts[0]} to {count_of(counts[-1], 'value')}"
    return count_of(counts[0], "value")


def _moments(
    name: str,
    ids: list[str],
    predicted: dict[str, Trace],
    gold: dict[str, Trace],
    settings: EvalCccSettings,
    overhangs: Overhangs,
) -> LabelMoments:
    """One label, over the recordings that have it on both sides."""
    there = [i for i in ids if i in predicted and i in gold]
    if not there:
        raise DataError(f"{name}: no recording has it on both sides; select others with --label")
    rows: list[list[np.ndarray]] = []
    unpredicted = 0
    for identifier in there:
        given, true = predicted[identifier], gold[identifier]
        pair = aligned(given, true, settings.delay, settings.rate)
        if pair is None:
            raise DataError(
                f"{name}: predictions of {identifier} are from {given.times[0] + settings.delay:g} "
                f"to {given.times[-1] + settings.delay:g} s, its gold from {true.times[0]:g} to "
                f"{true.times[-1]:g} s: they have no time in common; times are in seconds"
            )
        overhangs.add(identifier, pair)
        unpredicted += pair.unpredicted
        try:
            rows.append([concordance.moments(run, pair.true) for run in pair.predicted.T])
        except ValueError as error:
            raise DataError(f"{name} of {identifier}: {error}") from error
        if len(rows[-1]) != len(rows[0]):
            raise DataError(
                f"{name}: {count_of(len(rows[0]), 'run predicts', 'runs predict')} {there[0]}, but "
                f"{len(rows[-1])} {identifier}"
            )
    return LabelMoments(there, np.swapaxes(np.array(rows), 0, 1), unpredicted)


def _warn(name: str, found: dict[str, LabelMoments], progress: Progress) -> None:
    """Warn of conditions that make a score 0 or undefined, or hard to interpret."""
    for label, of in found.items():
        if of.constant:
            progress.warn(
                f"{name}: {label} is constant, predicted or gold, in "
                f"{count_of(len(of.constant), 'recording')} ({work.some_of(of.constant)}): their "
                "CCC is 0, undefined where both are constant and equal"
            )
        if of.empty:
            progress.warn(
                f"{name}: {label} is unknown on one side at all times of "
                f"{count_of(len(of.empty), 'recording')}, left out: {work.some_of(of.empty)}"
            )
        if of.unpredicted:
            progress.warn(
                f"{name}: {count_of(of.unpredicted, 'value')} of {label} in the gold left out, for "
                "the prediction there is unknown, or its times lie more than two steps apart"
            )
        if of.runs_differ:
            progress.warn(f"{name}: its runs do not predict {label} of the same recordings")


def _warn_of_scale(
    label: str,
    gold: TraceSource,
    of_raters: dict[str, Trace],
    ids: list[str],
    progress: Progress,
) -> None:
    values, own = (
        [traces[i].values for i in ids if i in traces] for traces in (gold.labels[label], of_raters)
    )
    words = beyond_scale(label, values, own)
    if words is not None:
        progress.warn(f"{gold.name}: {words}")


def _common_rate(gold: TraceSource, ids: list[str]) -> float | None:
    """Values a second of the gold; None where recordings differ."""
    steps = {
        float(f"{traces[i].step_s:.4g}")
        for traces in gold.labels.values()
        for i in ids
        if i in traces
    }
    step = steps.pop() if len(steps) == 1 else 0.0
    return float(f"{1 / step:.4g}") if step else None


def _runs(scores: dict[str, LabelScores]) -> tuple[TraceRun, ...]:
    """Raises DataError where labels are of different runs."""
    counts = {label: len(of.runs) for label, of in scores.items()}
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{count} of {label}" for label, count in counts.items())
        raise DataError(f"labels have different numbers of runs: {words}; score them one by one")
    return tuple(
        TraceRun(
            run=run,
            pooled={label: of.runs[run].pooled for label, of in scores.items()},
            mean={label: of.runs[run].mean for label, of in scores.items()},
        )
        for run in range(next(iter(counts.values())))
    )


def _interval(name: str, found: dict[str, LabelMoments], settings: EvalCccSettings) -> Interval:
    for label, of in found.items():
        if len(of.ids) < 2:
            raise DataError(
                f"{name}: --bootstrap draws recordings anew, and {label} is of one alone"
            )
    drawn = {
        label: intervals(of, settings.bootstrap, settings.seed, not settings.unbiased)
        for label, of in found.items()
    }
    by_way = {way: {label: of[way] for label, of in drawn.items()} for way in WAYS}
    return Interval(
        level=LEVEL, draws=settings.bootstrap, pooled=by_way["pooled"], mean=by_way["mean"]
    )
