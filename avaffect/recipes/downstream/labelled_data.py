"""Utterances with labels, of one or more stores: the data of supervised training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import unique_ids
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.traces import Traces, resample
from avaffect.evaluation import distributions
from avaffect.evaluation.gold_standard import gold_standard
from avaffect.evaluation.trace_scale import beyond_scale
from avaffect.recipes.common.subset import chosen_share
from avaffect.recipes.common.work import warn_of_alike
from avaffect.recipes.downstream import label_doubts
from avaffect.settings.class_map import ClassMap


@dataclass(frozen=True)
class Utterances:
    """ids, speakers, splits, folds: one text each."""

    ids: list[str]
    speakers: list[str]
    splits: list[str]
    folds: list[str]

    def chosen(self, mask: np.ndarray) -> Utterances:
        """Those of a mask (N,) bool."""
        return Utterances(*self._columns(np.flatnonzero(mask).tolist()))

    def _columns(self, rows: list[int]) -> tuple[list[str], list[str], list[str], list[str]]:
        ids, speakers, splits, folds = (
            [column[row] for row in rows]
            for column in (self.ids, self.speakers, self.splits, self.folds)
        )
        return ids, speakers, splits, folds

    def share(
        self, mask: np.ndarray, fraction: float, seed: int, classes: np.ndarray | None = None
    ) -> np.ndarray:
        """(N,) bool: a share of a mask (N,), drawn from each of the classes (N,) separately."""
        rows = np.flatnonzero(mask)
        ids = [self.ids[row] for row in rows]
        chosen = chosen_share(ids, fraction, seed, None if classes is None else classes[rows])
        share = np.zeros_like(mask)
        share[rows[chosen]] = True
        return share


@dataclass(frozen=True)
class LabelledUtterances(Utterances):
    """Utterances that all have a class: targets (N,) int64 into classes."""

    targets: np.ndarray
    classes: tuple[str, ...]

    def chosen(self, mask: np.ndarray) -> LabelledUtterances:
        rows = np.flatnonzero(mask).tolist()
        return LabelledUtterances(*self._columns(rows), self.targets[rows], self.classes)

    def check_classes(self, where: str) -> None:
        """Raises DataError where there is one class only, or none."""
        check_several([self.classes[index] for index in np.unique(self.targets)], where)


def check_several(classes: Sequence[str], where: str) -> None:
    """Raises DataError unless these classes of the training part are two or more."""
    if len(classes) < 2:
        names = ", ".join(classes) or "none"
        raise DataError(f"{where}: one class only ({names}); at least two are needed to learn")


def labelled_utterances(
    stores: Sequence[Store],
    label: str,
    classes: ClassMap,
    annotations: Annotations,
    progress: Progress,
) -> LabelledUtterances:
    """The utterances that have a class label in use; raises DataError as `class_targets` does."""
    everyone = all_utterances(stores, annotations, progress)
    in_use, targets = class_targets(stores, label, classes, annotations, progress)
    columns = everyone.ids, everyone.speakers, everyone.splits, everyone.folds
    return LabelledUtterances(*columns, targets, in_use).chosen(targets >= 0)


def all_utterances(
    stores: Sequence[Store], annotations: Annotations, progress: Progress
) -> Utterances:
    """The utterances of all stores, in order. Raises DataError where two share an id."""
    ids = unique_ids(stores)
    count = sum(identifier in annotations.items for identifier in ids)
    if annotations.items and count < len(ids):
        progress.say(
            f"--annotations names {count} of {count_of(len(ids), 'utterance')}; the others keep "
            "the store's labels, and are used too"
        )
    fields = ("speaker", "split", "fold")
    columns = [[v for s in stores for v in annotations.field(s, name)] for name in fields]
    return Utterances(ids, *columns)


def class_targets(
    stores: Sequence[Store],
    label: str,
    classes: ClassMap,
    annotations: Annotations,
    progress: Progress,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes in use, and (N,) int64 of them, -1 where an utterance has none.

    Raises DataError where a store has no such label, or no utterance is labelled.
    """
    names = [name for store in stores for name in annotations.names(store, label)]
    if not classes:
        classes = ClassMap.of(_classes_in_use(stores, label, names))
        warn_of_alike(f"{stores[0].path}: {label}", classes.names, progress)
    index_of: dict[str | None, int] = {None: -1}
    index_of |= {name: index for index, name in enumerate(classes.names)}
    targets = np.array([index_of[classes.class_of(name)] for name in names], dtype=np.int64)
    left_out = Counter("missing" if n is None else n for n, t in zip(names, targets) if t < 0)
    if left_out:
        words = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        progress.say(
            f"{count_of(left_out.total(), 'utterance has', 'utterances have')} no {label} in use "
            f"({words})"
        )
    if not (targets >= 0).any():
        raise DataError(f"{stores[0].path}: no utterance has a label {label!r} in use")
    return classes.names, targets


def vote_shares(
    stores: Sequence[Store],
    label: str,
    classes: ClassMap,
    annotations: Annotations,
    progress: Progress = SILENT,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes in use, and (N, classes) float32 shares of their votes, a row of NaN where an
    utterance has none. Votes for merged classes are added up, those for others left out.

    Raises DataError where a store has no such label, stores have different classes, or votes are
    negative.
    """
    parts = [annotations.distributions(store, label) for store in stores]
    names = parts[0][0]
    for store, (others, _) in zip(stores, parts):
        if set(others) != set(names):
            raise DataError(
                f"{stores[0].path} and {store.path}: votes of {label!r} are for different classes"
            )
    votes = np.concatenate([v[:, [own.index(n) for n in names]] for own, v in parts])
    ids = unique_ids(stores)
    label_doubts.check_votes(label, ids, votes, str(stores[0].path))
    label_doubts.warn_of_sums(label, ids, votes, str(stores[0].path), progress)
    if classes:
        unknown = [name for name in classes.sources if name not in names]
        if unknown:
            raise DataError(
                f"{stores[0].path}: the votes have no class {unknown[0]!r} of --classes "
                f"({label}: {', '.join(names)})"
            )
        votes = np.stack([votes[:, p].sum(axis=1) for p in classes.places(names)], axis=1)
        names = classes.names
    return names, distributions.shares(votes).astype(np.float32)


def scalar_values(
    stores: Sequence[Store], label: str, annotations: Annotations, progress: Progress
) -> np.ndarray:
    """(N,) float32, NaN where an utterance has none.

    Raises DataError where a store has no such label, or a value is infinite.
    """
    found = np.concatenate([annotations.scalars(store, label) for store in stores])
    label_doubts.check_numbers(label, unique_ids(stores), found, str(stores[0].path), progress)
    return found


def trace_values(
    stores: Sequence[Store],
    name: str,
    annotations: Annotations,
    raters: str,
    progress: Progress,
) -> Traces:
    """A trace of each utterance, of several raters their gold standard, at the highest rate.

    raters: mean, median, ewe or ewe-loo. Raises DataError where a store has no such trace.
    """
    ids = unique_ids(stores)
    for spec in [annotations.specs.get(name), *(store.labels.get(name) for store in stores)]:
        if spec is not None and spec.kind == "trace" and spec.classes:
            raise DataError(
                f"{name} is a class over time ({', '.join(spec.classes)}): first make its frames "
                f"utterances, with `avaffect extract --frames-of {name}`"
            )
    parts = [annotations.traces(store, name) for store in stores]
    rate = max(part.rate_hz for part in parts)
    given = [(value, part.rate_hz) for part in parts for value in part.values]
    values = [
        resample(_gold(name, identifier, value, raters), own_rate, rate)
        for identifier, (value, own_rate) in zip(ids, given)
    ]
    doubt = beyond_scale(name, values, [value for value, _ in given])
    if doubt is not None:
        progress.warn(f"{stores[0].path}: {doubt}")
    return Traces(rate, 0, values)


def _gold(name: str, identifier: str, values: np.ndarray, raters: str) -> np.ndarray:
    try:
        return gold_standard(values, raters)
    except ValueError as error:
        raise DataError(f"{name} of {identifier}: {error}") from error


def _classes_in_use(
    stores: Sequence[Store], label: str, names: Sequence[str | None]
) -> tuple[str, ...]:
    """Classes that occur, in the order of the stores' own lists."""
    listed = [c for s in stores if label in s.labels for c in s.labels[label].classes]
    occurring = {name for name in names if name is not None}
    return tuple(name for name in dict.fromkeys([*listed, *sorted(occurring)]) if name in occurring)
