"""Utterances with a label, of one or more stores: what supervised training learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data.dataset import unique_ids
from avaffect.data.labels import Annotations, ClassMap
from avaffect.data.store.reader import Store
from avaffect.data.traces import Traces, resample
from avaffect.evaluation.gold_standard import gold_standard
from avaffect.evaluation.trace_scale import beyond_scale
from avaffect.recipes.common.subset import chosen_share
from avaffect.recipes.common.work import warn_of_alike

Some = TypeVar("Some", bound="Utterances")


@dataclass(frozen=True)
class Utterances:
    """ids, speakers, splits, folds: one text each."""

    ids: list[str]
    speakers: list[str]
    splits: list[str]
    folds: list[str]

    def chosen(self: Some, mask: np.ndarray) -> Some:
        """Those of a mask (N,) bool."""
        rows = np.flatnonzero(mask).tolist()
        columns = {
            name: [getattr(self, name)[row] for row in rows]
            for name in ("ids", "speakers", "splits", "folds")
        }
        return replace(self, **columns, **self._labels_of(rows))

    def share(
        self, mask: np.ndarray, fraction: float, seed: int, classes: np.ndarray | None = None
    ) -> np.ndarray:
        """(N,) bool: a share of those in a mask (N,), of each of the classes (N,) its own."""
        rows = np.flatnonzero(mask)
        ids = [self.ids[row] for row in rows]
        chosen = chosen_share(ids, fraction, seed, None if classes is None else classes[rows])
        share = np.zeros_like(mask)
        share[rows[chosen]] = True
        return share

    def missing_classes(self) -> list[str]:
        """Classes that no utterance has."""
        return []

    def counted_classes(self) -> str:
        """How many utterances each class has, in words; "" where there are no classes."""
        return ""

    def _labels_of(self, rows: list[int]) -> dict[str, object]:
        return {}


@dataclass(frozen=True)
class LabelledUtterances(Utterances):
    """targets (N,) int64 into classes."""

    targets: np.ndarray
    classes: tuple[str, ...]

    def _labels_of(self, rows: list[int]) -> dict[str, object]:
        return {"targets": self.targets[rows]}

    def missing_classes(self) -> list[str]:
        return [name for name, count in self._counts() if not count]

    def counted_classes(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in self._counts() if count)

    def _counts(self) -> list[tuple[str, int]]:
        counts = np.bincount(self.targets, minlength=len(self.classes))
        return list(zip(self.classes, counts.tolist()))

    def check_classes(self, what: str) -> None:
        """Raises DataError where there is one class only, or none."""
        present = np.unique(self.targets)
        if len(present) < 2:
            names = ", ".join(self.classes[index] for index in present) or "none"
            raise DataError(f"{what}: one class only ({names}); at least two are needed to learn")


@dataclass(frozen=True)
class TracedUtterances(Utterances):
    """traces: name -> labels over time, values (T,); no steps where an utterance has none."""

    traces: dict[str, Traces]

    def _labels_of(self, rows: list[int]) -> dict[str, object]:
        return {
            "traces": {
                name: replace(traces, values=[traces.values[row] for row in rows])
                for name, traces in self.traces.items()
            }
        }


def labelled_utterances(
    stores: Sequence[Store],
    label: str,
    classes: str | None,
    annotations: Annotations,
    progress: Progress,
) -> LabelledUtterances:
    """The utterances that have a class label in use.

    Raises DataError where a store has no such label, or no utterance is labelled.
    """
    _tell_annotated(stores, annotations, progress)
    names = [name for store in stores for name in annotations.names(store, label)]
    if classes is not None:
        chosen = ClassMap.parse(classes)
        in_use, index_of = chosen.names, chosen.index_of()
    else:
        in_use = _classes_in_use(stores, label, names)
        index_of = {name: index for index, name in enumerate(in_use)}
        warn_of_alike(f"{stores[0].path}: {label}", in_use, progress)
    targets = np.array([index_of.get(name, -1) for name in names], dtype=np.int64)
    everyone = LabelledUtterances(*_columns(stores, annotations), targets, in_use)
    left_out = Counter("missing" if n is None else n for n, t in zip(names, targets) if t < 0)
    if left_out:
        words = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        progress.say(f"{left_out.total()} utterances have no {label} in use ({words})")
    found = everyone.chosen(targets >= 0)
    if not found.ids:
        raise DataError(f"{stores[0].path}: no utterance has a label {label!r} in use")
    return found


def traced_utterances(
    stores: Sequence[Store],
    names: Sequence[str],
    annotations: Annotations,
    raters: str,
    progress: Progress,
) -> TracedUtterances:
    """The utterances that have any of the trace labels; of several raters their gold standard.

    raters: mean, median, ewe or ewe-loo. Raises DataError where a store has no such trace, or none
    of its values is known.
    """
    _tell_annotated(stores, annotations, progress)
    ids = unique_ids(stores)
    traces = {}
    for name in names:
        parts = [annotations.traces(store, name) for store in stores]
        rate = max(part.rate_hz for part in parts)
        given = [(value, part.rate_hz) for part in parts for value in part.values]
        values = [
            resample(_gold(name, identifier, value, raters), own_rate, rate)
            for identifier, (value, own_rate) in zip(ids, given)
        ]
        traces[name] = Traces(rate, 0, values)
        doubt = beyond_scale(name, values, [value for value, _ in given])
        if doubt is not None:
            progress.warn(f"{stores[0].path}: {doubt}")
    everyone = TracedUtterances(*_columns(stores, annotations), traces)
    known = np.array(
        [
            any(not np.isnan(traces[name].values[row]).all() for name in names)
            for row in range(len(everyone.ids))
        ],
        dtype=bool,
    )
    words = " or ".join(names)
    if not known.any():
        raise DataError(f"{stores[0].path}: no utterance has a known value of {words}")
    if not known.all():
        progress.say(f"{int((~known).sum())} utterances have no known value of {words}")
    return everyone.chosen(known)


def _tell_annotated(stores: Sequence[Store], annotations: Annotations, progress: Progress) -> None:
    """Say where a manifest is silent about some utterances: it chooses none of them."""
    ids = [identifier for store in stores for identifier in store.ids]
    count = sum(identifier in annotations.items for identifier in ids)
    if annotations.items and count < len(ids):
        progress.say(
            f"--annotations names {count} of {len(ids)} utterances; the others stay as the store "
            "has them, and are used too"
        )


def _gold(name: str, identifier: str, values: np.ndarray, raters: str) -> np.ndarray:
    try:
        return gold_standard(values, raters)
    except ValueError as error:
        raise DataError(f"{name} of {identifier}: {error}") from error


def _columns(stores: Sequence[Store], annotations: Annotations) -> list[list[str]]:
    """ids, speakers, splits, folds."""
    fields = ("speaker", "split", "fold")
    return [
        unique_ids(stores),
        *([v for store in stores for v in annotations.field(store, name)] for name in fields),
    ]


def _classes_in_use(
    stores: Sequence[Store], label: str, names: Sequence[str | None]
) -> tuple[str, ...]:
    """Classes that occur, in the order of the stores' own lists."""
    listed = [c for s in stores if label in s.labels for c in s.labels[label].classes]
    occurring = {name for name in names if name is not None}
    return tuple(name for name in dict.fromkeys([*listed, *sorted(occurring)]) if name in occurring)
