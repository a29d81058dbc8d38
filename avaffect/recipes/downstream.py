"""What a head is trained for: classes of utterances, or traces over time.

`finetune` divides the utterances, trains and keeps; a task knows its labels, its loss and its
scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.data.labels import Annotations
from avaffect.data.store import Store
from avaffect.data.traces import Traces, resample
from avaffect.evaluation import classification, concordance
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head
from avaffect.models.recurrent_head import RecurrentHead
from avaffect.objectives.classification import Classification
from avaffect.objectives.downstream import Downstream
from avaffect.objectives.trace_regression import TraceRegression
from avaffect.recipes import classifiers
from avaffect.recipes.fractions import chosen_share
from avaffect.recipes.labelled import (
    LabelledUtterances,
    TracedUtterances,
    Utterances,
    labelled_utterances,
    traced_utterances,
)
from avaffect.settings.finetune import FinetuneSettings

AnyHead = Head | RecurrentHead


class Task(Protocol):
    """utterances: all that have labels; outputs: of the head; scores: what `--select` may name."""

    utterances: Utterances
    outputs: int
    scores: tuple[str, ...]

    def of(self, utterances: Utterances) -> Task:
        """The same task on some of its utterances."""

    def check(self, utterances: Utterances, where: str) -> None:
        """Raises DataError where nothing can be learned from these."""

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        """(N,) bool: a share of the utterances in a mask (N,)."""

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        """The dataset of all utterances with their labels; traces at the rate of the head."""

    def objective(
        self, head: AnyHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float]
    ) -> Downstream: ...

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float,
    ) -> dict[str, float]: ...  # fmt: skip

    def header(self, rate_hz: float) -> dict[str, Any]:
        """What the classifier's header says of its labels."""


@dataclass(frozen=True)
class ClassTask:
    """One class of each utterance; cross-entropy."""

    utterances: LabelledUtterances
    name: str
    scores = ("ua", "accuracy", "f1_macro")

    @property
    def outputs(self) -> int:
        return len(self.utterances.classes)

    def of(self, utterances: LabelledUtterances) -> ClassTask:
        return replace(self, utterances=utterances)

    def check(self, utterances: LabelledUtterances, where: str) -> None:
        utterances.check_classes(where)

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        """Of each class its share, one utterance at least."""
        return _share(self.utterances, mask, fraction, seed, self.utterances.targets)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        return replace(dataset, labels={self.name: self.utterances.targets})

    def objective(
        self, head: AnyHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float]
    ) -> Classification:
        return Classification(head, self.name, encoder, frozen, rates)

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float,
    ) -> dict[str, float]:  # fmt: skip
        found = classifiers.utterance_scores(encoder, [head], dataset, device, batch_seconds)
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
            "f1_macro": classification.f1_macro(matrix),
        }

    def header(self, rate_hz: float) -> dict[str, Any]:
        return {"labels": {self.name: list(self.utterances.classes)}}


@dataclass(frozen=True)
class TraceTask:
    """One or several labels over time; 1 - CCC of each."""

    utterances: TracedUtterances
    names: tuple[str, ...]
    scores = ("ccc",)

    @property
    def outputs(self) -> int:
        return len(self.names)

    def of(self, utterances: TracedUtterances) -> TraceTask:
        return replace(self, utterances=utterances)

    def check(self, utterances: TracedUtterances, where: str) -> None:
        """Concordance needs gold that varies."""
        for name in self.names:
            values = _joined(utterances.traces[name].values)
            if len(np.unique(values[~np.isnan(values)])) < 2:
                raise DataError(
                    f"{where}: {name} never changes in what is trained on; there is nothing to "
                    "learn"
                )

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        return _share(self.utterances, mask, fraction, seed)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        traces = {}
        for name, found in self.utterances.traces.items():
            values = [resample(value, found.rate_hz, rate_hz) for value in found.values]
            traces[name] = Traces(rate_hz, 0, values)
        return replace(dataset, traces=traces)

    def objective(
        self, head: AnyHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float]
    ) -> TraceRegression:
        return TraceRegression(head, self.names, encoder, frozen, rates)

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float,
    ) -> dict[str, float]:  # fmt: skip
        """CCC over all utterances joined: "ccc_NAME" of each label that is known, "ccc" their
        mean."""
        found = classifiers.traces(encoder, [head], dataset, device, batch_seconds)
        scores: dict[str, float] = {}
        for index, name in enumerate(self.names):
            pairs = [
                (values[: len(gold), 0, index], gold[: len(values)])
                for values, gold in zip(found, dataset.traces[name].values)
            ]
            predicted, gold = (_joined(side) for side in zip(*pairs))
            if not np.isnan(gold).all():
                scores[f"ccc_{name}"] = concordance.ccc(predicted, gold)
        return {"ccc": float(np.mean(list(scores.values()))), **scores} if scores else {}

    def header(self, rate_hz: float) -> dict[str, Any]:
        return {"traces": {"names": list(self.names), "rate_hz": rate_hz}}


def task_of(stores: Sequence[Store], settings: FinetuneSettings, progress: Progress) -> Task:
    """The task that the labels make: traces where the stores hold them over time.

    Raises UsageError where labels of two kinds, or two classes, are named.
    """
    annotations = Annotations.read(settings.annotations, stores)
    names = tuple(dict.fromkeys(settings.label))
    kinds = {name: _is_trace(stores, annotations, name) for name in names}
    if all(kinds.values()):
        if settings.classes is not None:
            raise UsageError(f"--classes goes with class labels; {names[0]} is a trace")
        found = traced_utterances(stores, names, annotations, settings.raters, progress)
        return TraceTask(found, names)
    if len(names) > 1:
        raise UsageError(
            f"--label {' and '.join(names)}: several labels are learned together where all are "
            "traces; of classes name one"
        )
    found = labelled_utterances(stores, names[0], settings.classes, annotations, progress)
    return ClassTask(found, names[0])


def _is_trace(stores: Sequence[Store], annotations: Annotations, name: str) -> bool:
    specs = [annotations.specs.get(name), *(store.labels.get(name) for store in stores)]
    return any(spec is not None and spec.kind == "trace" for spec in specs)


def _share(
    utterances: Utterances,
    mask: np.ndarray,
    fraction: float,
    seed: int,
    classes: np.ndarray | None = None,
) -> np.ndarray:
    rows = np.flatnonzero(mask)
    ids = [utterances.ids[row] for row in rows]
    chosen = chosen_share(ids, fraction, seed, None if classes is None else classes[rows])
    share = np.zeros_like(mask)
    share[rows[chosen]] = True
    return share


def _joined(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.float32), *values])
