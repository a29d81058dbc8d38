"""The labels of one head, of one kind or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.recipes.downstream.labelled_data import (
    Utterances,
    all_utterances,
    class_targets,
    scalar_values,
    trace_values,
    vote_shares,
)
from avaffect.recipes.downstream.tasks.base import Line, Task
from avaffect.recipes.downstream.tasks.class_task import ClassTask
from avaffect.recipes.downstream.tasks.distribution_task import DistributionTask
from avaffect.recipes.downstream.tasks.scalar_task import ScalarTask
from avaffect.recipes.downstream.tasks.trace_task import MAP, TraceTask, without_order
from avaffect.settings.augmentation import MIXUP, SPEED
from avaffect.settings.base import RATERS
from avaffect.settings.class_balance import ClassBalance
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.label_losses import (
    Weights,
    loss_of,
    only_ranks,
    parse_losses,
    takes_shares,
)

if TYPE_CHECKING:
    from avaffect.models.heads.base import FrameHead
    from avaffect.models.heads.labels import LabelHead
    from avaffect.models.layer_sum import LayerSumConfiguration
    from avaffect.objectives.criteria import Criterion

KINDS: dict[str, type[ClassTask | DistributionTask | ScalarTask | TraceTask]] = {
    "class": ClassTask, "distribution": DistributionTask, "scalar": ScalarTask, "trace": TraceTask,
}  # fmt: skip
OF_VOTES = ("class", "distribution")


@dataclass(frozen=True)
class Labels:
    """The utterances that have any of the labels, and a task for each label."""

    utterances: Utterances
    tasks: tuple[Task, ...]

    @property
    def scores(self) -> tuple[str, ...]:
        """Names for --select, the default first."""
        return score_names({task.name: task.kind for task in self.tasks})

    @property
    def over_time(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.over_time)

    @property
    def traces(self) -> tuple[TraceTask, ...]:
        return tuple(task for task in self.tasks if isinstance(task, TraceTask))

    def of_kind(self, kind: str) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.kind == kind)

    def classes_of(self, kind: str) -> dict[str, tuple[str, ...]]:
        """Label -> classes, of the labels of a kind."""
        return {task.name: task.classes for task in self.of_kind(kind)}

    def chosen(self, mask: np.ndarray) -> Labels:
        """The labels of some of the utterances, mask (N,) bool."""
        return Labels(self.utterances.chosen(mask), tuple(t.chosen(mask) for t in self.tasks))

    def check(self, where: str) -> None:
        """Raises DataError where a label cannot be learned from these utterances."""
        for task in self.tasks:
            task.check(where)

    def doubts(self) -> list[str]:
        """Reasons why these utterances cannot select the epoch, as sentences."""
        return [words for task in self.tasks for words in task.doubts()]

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        """(N,) bool: a share of the utterances in a mask (N,), of each class of the first label
        that has classes."""
        strata = next((s for s in (task.strata() for task in self.tasks) if s is not None), None)
        return self.utterances.share(mask, fraction, seed, strata)

    def counted(self) -> str:
        """Number of utterances of each class, in words; "" without classes."""
        counts = [pair for task in self.tasks for pair in task.counted().items()]
        return ", ".join(f"{name} {count}" for name, count in counts if count)

    def missing_classes(self) -> list[str]:
        """Classes without an utterance."""
        return [n for task in self.tasks for n, count in task.counted().items() if not count]

    def balanced(self) -> list[str]:
        """What is done about the sizes of classes, as sentences."""
        return [words for task in self._with_classes() for words in task.balanced()]

    def sampled(self) -> np.ndarray | None:
        """(N,) int64 classes of which an epoch draws equally many, -1 without one; None where each
        utterance comes once."""
        for task in self._with_classes():
            if task.balance.sampled:
                return task.strata()
        return None

    def _with_classes(self) -> list[ClassTask | DistributionTask]:
        return [t for t in self.tasks if isinstance(t, (ClassTask, DistributionTask))]

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        """The dataset of all utterances with their labels; traces at the rate of the head."""
        for task in self.tasks:
            dataset = task.label(dataset, rate_hz)
        return dataset

    def head(
        self,
        where: str,
        new: Callable[[int], FrameHead],
        layer_sum: LayerSumConfiguration | None = None,
    ) -> LabelHead:
        """A fresh head for these utterances, the training part.

        new: outputs -> the head beneath; layer_sum: below it.
        """
        from avaffect.models.heads.labels import LabelHead

        readouts = tuple(task.readout(where) for task in self.tasks)
        beneath = new(sum(readout.outputs for readout in readouts))
        head = LabelHead.of(beneath, readouts, layer_sum)
        for number, task in enumerate(self.tasks):
            task.fit(head, number, where)
        return head

    def criteria(self) -> list[Criterion]:
        alone = len(self.tasks) == 1
        return [task.criterion(number, alone) for number, task in enumerate(self.tasks)]

    def score(
        self,
        utterances: np.ndarray | None,
        traces: Sequence[np.ndarray] | None,
        rate_hz: float,
    ) -> dict[str, float]:
        """Scores of a head's outputs for these utterances.

        utterances: (N, columns) of the labels of utterances; traces: N arrays (T, traces). Of
        several labels, SCORE_NAME for each, and SCORE, the mean over the labels that have it; of
        one, SCORE, and of a trace both.
        """
        found: dict[str, list[float]] = {}
        named: dict[str, float] = {}
        column = trace = 0
        for task in self.tasks:
            rows: list[np.ndarray]
            if task.over_time:
                rows = [row[:, trace] for row in traces or ()]
                trace += 1
            else:
                assert utterances is not None
                end = column + task.columns
                rows, column = list(utterances[:, column:end]), end
            for score, value in task.score(rows, rate_hz).items():
                found.setdefault(score, []).append(value)
                if len(self.tasks) > 1 or task.over_time:
                    named[f"{score}_{task.name}"] = value
        return {**{score: float(np.mean(values)) for score, values in found.items()}, **named}

    def ended(self, lines: Sequence[Line]) -> tuple[bool, bool]:
        """From the history of a run on these utterances: whether it ended while a label was still
        being learned, and whether none left chance."""
        alone = len(self.tasks) == 1
        endings = [task.ended(lines, alone) for task in self.tasks]
        chance = all(one for _, one in endings)
        return not chance and any(falling for falling, _ in endings), chance


def labels_of(stores: Sequence[Store], settings: FinetuneSettings, progress: Progress) -> Labels:
    """The labels of the settings, each by its kind, of the utterances that have any.

    Raises UsageError for options that suit none of the labels, DataError where a label is unknown
    or no utterance has it.
    """
    annotations = Annotations.read(settings.annotations, stores)
    kinds = kinds_of(stores, settings, annotations)
    _check_options(settings, kinds)
    losses = parse_losses(settings.loss, kinds)
    _check_losses(settings, kinds, losses)
    for name, kind in kinds.items():
        alone = settings.batch_utterances == 1 and kind != "trace"
        if alone and all(loss_of(loss).coupled for loss in losses[name]):
            raise UsageError(
                f"--batch-utterances 1: the loss {next(iter(losses[name]))} of {name} compares the "
                "utterances of a batch; give 2 or more, or --loss mse=1"
            )
    everyone = all_utterances(stores, annotations, progress)
    balances = _balances(settings, kinds)
    tasks = [
        _task(stores, settings, name, kind, losses[name], balances[name], annotations, progress)
        for name, kind in kinds.items()
    ]
    for task in tasks:
        if not task.known.any():
            raise DataError(f"{stores[0].path}: no utterance has a known value of {task.name}")
    _check_selection(settings, tasks)
    known = np.any([task.known for task in tasks], axis=0)
    if not known.all() and list(kinds.values()) != ["class"]:
        words = " or ".join(kinds)
        progress.say(
            f"{count_of(int((~known).sum()), 'utterance has', 'utterances have')} no known value "
            f"of {words}"
        )
    return Labels(everyone, tuple(tasks)).chosen(known)


def kinds_of(
    stores: Sequence[Store], settings: FinetuneSettings, annotations: Annotations | None = None
) -> dict[str, str]:
    """Label -> class, distribution, scalar or trace: known before any label is read."""
    annotations = annotations or Annotations.read(settings.annotations, stores)
    return {name: annotations.kind(stores, name) for name in settings.label}


def score_names(kinds: Mapping[str, str]) -> tuple[str, ...]:
    """Names for --select with labels of these kinds: the scores of the first label, then of the
    others; of several labels also SCORE_NAME of each."""
    scores = {name: KINDS[kind].scores for name, kind in kinds.items()}
    plain = dict.fromkeys(score for of in scores.values() for score in of)
    named = [f"{s}_{n}" for n, of in scores.items() for s in of] if len(kinds) > 1 else []
    return (*plain, *named)


def _check_options(settings: FinetuneSettings, kinds: Mapping[str, str]) -> None:
    first = next(iter(kinds.items()))
    if settings.classes is not None and not set(kinds.values()) & set(OF_VOTES):
        raise UsageError(f"--classes goes with class labels; {first[0]} is a {first[1]}")
    if settings.balance_flags and not set(kinds.values()) & set(OF_VOTES):
        flag = settings.balance_flags[0]
        raise UsageError(f"{flag} goes with classes and votes; {first[0]} is a {first[1]}")
    for name, kind in kinds.items():
        if MIXUP in settings.of_sound and kind not in OF_VOTES:
            raise UsageError(f"--augment {MIXUP} mixes classes and votes; {name} is a {kind}")
        if SPEED in settings.of_sound and kind == "trace":
            raise UsageError(
                f"--augment {SPEED} changes the length of the sound, and {name} is a trace: its "
                "times would no longer be those of the sound"
            )
    if "trace" in kinds.values():
        return
    of_traces = {
        "delay": settings.delay,
        "window": settings.window,
        "raters": settings.raters != RATERS[0],
    }
    for flag, value in of_traces.items():
        if value:
            raise UsageError(f"--{flag} goes with traces; {first[0]} is a {first[1]}")


def _check_losses(
    settings: FinetuneSettings, kinds: Mapping[str, str], losses: Mapping[str, Weights]
) -> None:
    """Raises UsageError for a loss of classes that takes no weights, or no smoothed targets, which
    may be so of other packages' losses."""
    for name, kind in kinds.items():
        for loss in losses[name] if kind in OF_VOTES else ():
            if settings.class_weights and not loss_of(loss).weighted:
                raise UsageError(f"--class-weights: the loss {loss} of {name} takes no weights")
            soft = {"--label-smoothing": settings.label_smoothing > 0,
                    f"--augment {MIXUP}": MIXUP in settings.of_sound}  # fmt: skip
            for flag, given in soft.items():
                if given and not takes_shares(loss):
                    raise UsageError(f"{flag}: the loss {loss} of {name} takes single classes only")


def _check_selection(settings: FinetuneSettings, tasks: Sequence[Task]) -> None:
    """Raises UsageError where the epoch would be selected by a score that the labels do not
    have."""
    for task in tasks:
        chosen = settings.select in (MAP, f"{MAP}_{task.name}")
        if chosen and isinstance(task, TraceTask) and not task.is_binary:
            raise UsageError(
                f"--select {settings.select}: {task.name} has other values than 0 and 1, of which "
                "there is no average precision; take --select ccc"
            )


def _balances(settings: FinetuneSettings, kinds: Mapping[str, str]) -> dict[str, ClassBalance]:
    """Label -> what its classes have; the sampler takes those of the first."""
    first = next((name for name, kind in kinds.items() if kind in OF_VOTES), None)
    balance = settings.balance
    return {n: replace(balance, sampled=balance.sampled and n == first) for n in kinds}


def _task(
    stores: Sequence[Store],
    settings: FinetuneSettings,
    name: str,
    kind: str,
    losses: Weights,
    balance: ClassBalance,
    annotations: Annotations,
    progress: Progress,
) -> Task:
    if kind == "trace":
        traces = trace_values(stores, name, annotations, settings.raters, progress)
        if only_ranks(losses):
            traces, flat = without_order(traces)
            if flat.any() and not any(map(len, traces.values)):
                raise DataError(
                    f"{stores[0].path}: {name} is the same throughout each of "
                    f"{count_of(int(flat.sum()), 'recording')}: there is nothing to rank; give "
                    "recordings of which a part is relevant"
                )
            if flat.any():
                progress.say(
                    f"{count_of(int(flat.sum()), 'recording')} of {len(flat)} left out: {name} is "
                    "the same throughout, and there is nothing to rank"
                )
        return TraceTask(name, traces, losses, settings.delay)
    if kind == "scalar":
        return ScalarTask(name, scalar_values(stores, name, annotations, progress), losses)
    if kind == "distribution":
        classes, shares = vote_shares(stores, name, settings.class_map, annotations, progress)
        return DistributionTask(name, classes, shares, losses, balance=balance)
    classes, targets = class_targets(stores, name, settings.class_map, annotations, progress)
    there = None
    if settings.classes is not None:
        names = {n for store in stores for n in annotations.names(store, name) if n is not None}
        there = tuple(sorted(names))
    return ClassTask(name, classes, targets, losses, there, balance=balance)
