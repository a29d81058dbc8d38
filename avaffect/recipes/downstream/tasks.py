"""What a head is trained for: classes of utterances, or traces over time.

`finetune` divides the utterances, trains and keeps; a task knows its labels, its loss and its
scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.evaluation import classification
from avaffect.recipes.downstream.labelled_data import (
    LabelledUtterances,
    Utterances,
    labelled_utterances,
    traced_utterances,
)
from avaffect.recipes.downstream.trace_task import TraceTask
from avaffect.settings.base import RATERS
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.trace_losses import parse_losses
from avaffect.training.ending import ending

# Of the training part: where this much is right, a loss may well go on falling.
LEARNED = 0.9
NEARLY_CHANCE = 0.97

# What a task is of is asked before there is work: torch comes with the work.
if TYPE_CHECKING:
    import torch

    from avaffect.models.encoder import Encoder
    from avaffect.objectives.classification import Classification
    from avaffect.objectives.supervised import Downstream
    from avaffect.recipes.downstream.heads import AnyHead
    from avaffect.training.spool import Spool


class Task(Protocol):
    """utterances: all that have labels; scores: what `--select` may name."""

    utterances: Utterances
    scores: tuple[str, ...]

    def of(self, utterances: Utterances) -> Task:
        """The same task on some of its utterances."""

    def check(self, utterances: Utterances, where: str) -> None:
        """Raises DataError where nothing can be learned from these."""

    def doubts(self, development: Utterances) -> list[str]:
        """Sentences on why the epoch cannot be chosen by these."""

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        """(N,) bool: a share of the utterances in a mask (N,)."""

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        """The dataset of all utterances with their labels; traces at the rate of the head."""

    def head(self, settings: FinetuneSettings, dim: int, train: np.ndarray) -> AnyHead:
        """A fresh head on frames of `dim`, for a training part (N,) bool."""

    def objective(
        self, head: AnyHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float],
        penalty: float = 0.0,
    ) -> Downstream: ...  # fmt: skip

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float, progress: Progress, kept: Spool | None,
    ) -> dict[str, float]: ...  # fmt: skip

    def ended(self, lines: Sequence[dict[str, Any]], train: Utterances) -> tuple[bool, bool]:
        """By the history of a run on a training part: whether it ended while still learning, and
        whether it never learned more than one does without looking."""

    def header(self, rate_hz: float) -> dict[str, Any]:
        """Of the classifier's header, the fields on its labels."""


@dataclass(frozen=True)
class ClassTask:
    """One class of each utterance; cross-entropy. there: the labels that the stores hold, where
    `--classes` chose of them; None where all are in use."""

    utterances: LabelledUtterances
    name: str
    there: tuple[str, ...] | None = None
    scores = ("ua", "accuracy", "f1_macro")

    def of(self, utterances: LabelledUtterances) -> ClassTask:
        return replace(self, utterances=utterances)

    def check(self, utterances: LabelledUtterances, where: str) -> None:
        """Every class that was named has an utterance to train on, and there are two at least."""
        missing = utterances.missing_classes()
        if self.there is not None and missing:
            raise DataError(
                f"{where}: no utterance to train on is of the class {missing[0]!r} of --classes; "
                f"leave it out, or see its spelling (labels of {self.name}: "
                f"{', '.join(self.there) or 'none'})"
            )
        utterances.check_classes(where)

    def doubts(self, development: LabelledUtterances) -> list[str]:
        return []

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        """Of each class its share, one utterance at least."""
        return self.utterances.share(mask, fraction, seed, self.utterances.targets)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        return replace(dataset, labels={self.name: self.utterances.targets})

    def head(self, settings: FinetuneSettings, dim: int, train: np.ndarray) -> AnyHead:
        from avaffect.recipes.downstream.heads import new_head

        return new_head(settings, dim, len(self.utterances.classes))

    def objective(
        self, head: AnyHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float],
        penalty: float = 0.0,
    ) -> Classification:  # fmt: skip
        from avaffect.objectives.classification import Classification

        return Classification(head, self.name, encoder, frozen, rates, penalty)

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float, progress: Progress, kept: Spool | None,
    ) -> dict[str, float]:  # fmt: skip
        from avaffect.recipes.downstream import heads

        found = heads.utterance_scores(
            encoder, [head], dataset, device, batch_seconds, progress, kept
        )
        return self.scored(dataset.labels[self.name], found[:, 0])

    def scored(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """targets (N,), logits (N, classes)"""
        classes = self.utterances.classes
        matrix = classification.confusion_matrix(
            [classes[index] for index in targets],
            [classes[index] for index in logits.argmax(axis=1)],
            classes,
        )
        return {
            "accuracy": classification.accuracy(matrix),
            "ua": classification.unweighted_accuracy(matrix),
            "ua_error": classification.unweighted_accuracy_error(matrix),
            "f1_macro": classification.f1_macro(matrix),
        }

    def ended(
        self, lines: Sequence[dict[str, Any]], train: LabelledUtterances
    ) -> tuple[bool, bool]:
        """Chance: the cross-entropy of one who knows how frequent the classes are, and the share of
        the largest."""
        shares = np.bincount(train.targets) / len(train.targets)
        shares = shares[shares > 0]
        entropy, largest = -float((shares * np.log(shares)).sum()), float(shares.max())
        loss, right = ending(lines, "classification"), ending(lines, "accuracy")
        if loss is None or right is None:
            return False, False
        error = np.sqrt(largest * (1 - largest) / len(train.targets))
        # Of a class that nearly all have, two errors above its share may be more than all.
        better = min(largest + 2 * error, (1 + largest) / 2)
        chance = loss.late > NEARLY_CHANCE * entropy and right.late < better
        return not chance and right.late < LEARNED and loss.falling(entropy), chance

    def header(self, rate_hz: float) -> dict[str, Any]:
        return {"labels": {self.name: tuple(self.utterances.classes)}}


def task_of(stores: Sequence[Store], settings: FinetuneSettings, progress: Progress) -> Task:
    """The task that the labels make: traces where the stores hold them over time.

    Raises UsageError where labels of two kinds, or two classes, are named, or options of the other
    kind.
    """
    annotations = Annotations.read(settings.annotations, stores)
    names = tuple(dict.fromkeys(settings.label))
    kinds = {name: _is_trace(stores, annotations, name) for name in names}
    if all(kinds.values()):
        if settings.classes is not None:
            raise UsageError(f"--classes goes with class labels; {names[0]} is a trace")
        found = traced_utterances(stores, names, annotations, settings.raters, progress)
        losses = parse_losses(settings.loss, names)
        return TraceTask(found, losses, settings.delay, settings.window)
    of_traces = {
        "loss": settings.loss,
        "delay": settings.delay,
        "window": settings.window,
        "raters": settings.raters != RATERS[0],
    }
    for flag, value in of_traces.items():
        if value:
            raise UsageError(f"--{flag} goes with traces; {names[0]} is a class")
    if len(names) > 1:
        raise UsageError(
            f"--label {' and '.join(names)}: several labels are learned together where all are "
            "traces; of classes name one"
        )
    found = labelled_utterances(stores, names[0], settings.classes, annotations, progress)
    if settings.classes is None:
        return ClassTask(found, names[0])
    there = {n for store in stores for n in annotations.names(store, names[0]) if n is not None}
    return ClassTask(found, names[0], tuple(sorted(there)))


def scores_of(stores: Sequence[Store], settings: FinetuneSettings) -> tuple[str, ...]:
    """What `--select` may name, the default first: known before any label is read."""
    annotations = Annotations.read(settings.annotations, stores)
    is_trace = all(_is_trace(stores, annotations, name) for name in settings.label)
    return (TraceTask if is_trace else ClassTask).scores


def _is_trace(stores: Sequence[Store], annotations: Annotations, name: str) -> bool:
    specs = [annotations.specs.get(name), *(store.labels.get(name) for store in stores)]
    return any(spec is not None and spec.kind == "trace" for spec in specs)
