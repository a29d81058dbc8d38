"""Predicted and gold traces aligned: the same labels, recordings and times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data.traces import SAME_TIME, at_times
from avaffect.recipes.common.work import some_of
from avaffect.recipes.scoring.gold_traces import Trace, TraceSource
from avaffect.recipes.scoring.matching import but_for_prefix, parse_labels
from avaffect.recipes.scoring.reports.traces import Overhang, Truncated


@dataclass(frozen=True)
class Aligned:
    """One recording: predicted (T, runs) and gold (T,) values at the same times.

    longer_s: seconds by which the predictions are longer than the gold; shorter_s: by which the
    gold is longer than the predictions, both without a delay.
    """

    predicted: np.ndarray
    true: np.ndarray
    longer_s: float
    shorter_s: float

    @property
    def unpredicted(self) -> int:
        """Known gold values without a prediction in a run that predicts the recording."""
        missing = np.isnan(self.predicted)
        partly = ~missing.all(axis=0)
        return int((missing[:, partly].any(axis=1) & ~np.isnan(self.true)).sum())


def aligned(
    predicted: Trace, true: Trace, delay_s: float = 0.0, rate_hz: float | None = None
) -> Aligned | None:
    """Both at the gold's times, or rate_hz times a second, over their common span.

    The gold is one rater's (T,). A prediction for the time t is compared with the gold at t +
    delay_s. None without a common span.
    """
    gold, times = true.values, true.times
    if rate_hz is not None:
        first, last = true.times[[0, -1]] * rate_hz
        times = np.arange(math.ceil(first - SAME_TIME), math.floor(last + SAME_TIME) + 1) / rate_hz
        gold = at_times(true.times, gold, times)
    shifted = predicted.times + delay_s
    # As far as the first and last value hold; see `at_times`.
    grace = predicted.step_s * (1 - SAME_TIME)
    common = (times >= shifted[0] - grace) & (times <= shifted[-1] + grace)
    if not common.any():
        return None
    found = at_times(shifted, predicted.columns, times[common], predicted.step_s)
    return Aligned(found, np.asarray(gold, dtype=np.float64)[common], *_overhang(predicted, true))


def _overhang(predicted: Trace, true: Trace) -> tuple[float, float]:
    """Seconds by which each is longer than the other; less than a step of the slower is none."""
    step = max(predicted.step_s, true.step_s)
    begins = true.times[0] - predicted.times[0]
    ends = predicted.times[-1] + predicted.step_s - true.times[-1] - true.step_s

    def beyond(*seconds: float) -> float:
        return float(sum(value for value in seconds if value > step * (1 - 0.01)))

    return beyond(begins, ends), beyond(-begins, -ends)


@dataclass
class Overhangs:
    """Recordings whose predictions and gold differ in length: id -> seconds."""

    longer: dict[str, float] = field(default_factory=dict)
    shorter: dict[str, float] = field(default_factory=dict)

    def add(self, identifier: str, found: Aligned) -> None:
        for seconds, known in ((found.longer_s, self.longer), (found.shorter_s, self.shorter)):
            if seconds:
                known[identifier] = max(seconds, known.get(identifier, 0.0))

    def report(self, name: str, progress: Progress) -> None:
        if self.longer:
            progress.say(
                f"{name}: predictions that last longer than the gold were truncated to it, "
                f"{_most(self.longer)}"
            )
        if self.shorter:
            progress.warn(
                f"{name}: gold that lasts longer than the predictions was left out there, "
                f"{_most(self.shorter)}"
            )

    def described(self) -> Truncated:
        """For the report: what was cut off on each side."""
        longer, shorter = (
            Overhang(recordings=len(known), longest_s=round(max(known.values(), default=0), 6))
            for known in (self.longer, self.shorter)
        )
        return Truncated(predictions=longer, gold=shorter)


def _most(known: dict[str, float]) -> str:
    longest = max(known, key=lambda identifier: known[identifier])
    # Without exponents such as 2e+04, which are hard to read as seconds.
    seconds = f"{known[longest]:.{3 if known[longest] < 1000 else 6}g}"
    return f"{count_of(len(known), 'recording')}, by up to {seconds} s ({longest})"


def with_common_labels(
    predicted: TraceSource, gold: TraceSource, wanted: tuple[str, ...], progress: Progress
) -> tuple[TraceSource, TraceSource, dict[str, str]]:
    """Both sources with the labels to score, under their names in the predictions, and these names
    -> their names in the gold.

    wanted: NAME, or NAME=OTHER for a label with the name OTHER in the gold; empty: all that both
    have. Raises DataError where one side does not have it, UsageError where a label is named twice.
    """
    chosen = parse_labels(wanted) or {
        name: name for name in gold.labels if name in predicted.labels
    }
    if not chosen and len(gold.labels) == len(predicted.labels) == 1:
        # With one label on either side the pair is clear.
        (name,), (other,) = predicted.labels, gold.labels
        chosen[name] = other
        progress.say(f"{name} of {predicted.name} is scored by {other} of {gold.name}")
    if not chosen:
        raise DataError(
            f"{predicted.name} has the traces {', '.join(predicted.labels)}, {gold.name} has "
            f"{', '.join(gold.labels)}: none is in both; pair them with --label NAME=OTHER"
        )
    return _renamed(predicted, {name: name for name in chosen}), _renamed(gold, chosen), chosen


def _renamed(source: TraceSource, names: dict[str, str]) -> TraceSource:
    """The source with these labels alone; names: new -> old."""
    for name in names.values():
        if name not in source.labels:
            have = ", ".join(source.labels)
            raise DataError(f"{source.name} has no trace {name!r} (it has: {have})"
                            f"{meant(name, source.labels)}")  # fmt: skip
    return replace(source, labels={new: source.labels[old] for new, old in names.items()})


def as_one_recording(predicted: TraceSource, gold: TraceSource) -> TraceSource:
    """The predictions; under the gold's id where either is a single file and both are of one
    recording."""
    if "file" not in (predicted.kind, gold.kind) or len(predicted.ids) > 1 or len(gold.ids) > 1:
        return predicted
    (there,), (identifier,) = predicted.ids, gold.ids
    renamed = {name: {identifier: traces[there]} for name, traces in predicted.labels.items()}
    seen = dict(zip((identifier,), predicted.seen.values()))
    return replace(predicted, labels=renamed, splits={}, seen=seen)


def under_common_ids(predicted: TraceSource, gold: TraceSource, progress: Progress) -> TraceSource:
    """The predictions; where none has an id of the gold, under the gold's ids that differ by a
    prefix on one side, as `manifest` puts a corpus's name before the names of files."""
    names = but_for_prefix(predicted.ids, gold.ids)
    if not names:
        return predicted
    pairs = [f"{own} is {other}" for own, other in names.items()]
    progress.say(
        f"{predicted.name}: {count_of(len(pairs), 'recording differs', 'recordings differ')} from "
        f"{gold.name} in a prefix of their ids, and were matched without it: {some_of(pairs, 2)}"
    )
    labels = {
        label: {names.get(i, i): trace for i, trace in traces.items()}
        for label, traces in predicted.labels.items()
    }
    splits, seen = (
        {names.get(i, i): value for i, value in values.items()}
        for values in (predicted.splits, predicted.seen)
    )
    return replace(predicted, labels=labels, splits=splits, seen=seen)


@dataclass(frozen=True)
class Recordings:
    """Ids to score, in the gold's order, and those that one side lacks. split: None: all."""

    common: list[str]
    without_prediction: list[str]
    without_gold: list[str]
    split: str | None

    def report(self, name: str, progress: Progress) -> None:
        for missing, what in (
            (self.without_prediction, "with gold, but no prediction"),
            (self.without_gold, "predicted, but without gold"),
        ):
            if missing:
                progress.warn(
                    f"{name}: {count_of(len(missing), 'recording')} {what}, left out: "
                    f"{some_of(missing)}"
                )


def matched(predicted: TraceSource, gold: TraceSource, wanted: str | None) -> Recordings:
    """The recordings of a split that both sides have.

    wanted: train, development, test, all, or None: test where predictions are of several splits and
    not of folds. Raises DataError where there is none.
    """
    splits = {**gold.splits, **predicted.splits}
    of_predicted = sorted({splits[i] for i in predicted.ids if i in splits})
    if wanted is None:
        wanted = "test" if len(of_predicted) > 1 and not predicted.folds else "all"
    if wanted != "all" and wanted not in of_predicted:
        have = ", ".join(of_predicted) or "none"
        raise DataError(
            f"{predicted.name}: no prediction is of the split {wanted!r} (there are: {have}); "
            f"select with --split, or --split all{meant(wanted, of_predicted)}"
        )

    def selected(identifier: str) -> bool:
        split = splits.get(identifier)
        # Gold of a split without predictions is not reported as missing.
        return split == wanted or (wanted == "all" and split in (None, *of_predicted))

    there, true = (list(filter(selected, source.ids)) for source in (predicted, gold))
    also = set(there)
    common = [i for i in true if i in also]
    if not common:
        raise DataError(
            f"{predicted.name} and {gold.name} have no recording in common: predictions are of "
            f"{some_of(there, 3)}, gold is of {some_of(gold.ids, 3)}"
        )
    if wanted == "all":
        wanted = of_predicted[0] if len(of_predicted) == 1 else None
    unpredicted, without_gold = (sorted(set(ids) - set(common)) for ids in (true, there))
    return Recordings(common, unpredicted, without_gold, wanted)
