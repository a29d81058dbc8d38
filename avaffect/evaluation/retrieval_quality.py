"""Share of retrieved utterances whose label is that of their query.

SAAML (Tran et al., 2023, section 3.2) gives each retrieved utterance the label of its query. If the
pool's gold labels are known, this pseudo-label can be scored. Scores are functions of a matrix
(C, C) of mass: entry q, c is the mass of class c among the retrievals of queries of class q. It is
computed from draws, from the distribution of the draws, or from the nearest neighbours. Matrices of
parts of the queries (slabs of a similarity matrix) add up.

Labels are indices of one list of classes, -1 if unknown: such queries and pool items are left out.
A class that only the pool has counts too: its items are always wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.record import Record
from avaffect.evaluation.classification import (
    Confusion,
    accuracy,
    defined,
    recall,
    unweighted_accuracy,
)

BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, kw_only=True)
class ClassShare(Record):
    """Of the queries of one class: the share of their mass that is right (None without queries),
    and the mass."""

    accuracy: float | None
    count: float


@dataclass(frozen=True, kw_only=True)
class RetrievalScores(Record):
    """accuracy  share of the mass whose pseudo-label is right
    macro     mean of that over the queries' classes, which queries that are mostly of one class do
              not sway
    confusion  rows: the queries' classes; columns: the true ones
    count     the mass
    """

    accuracy: float
    macro: float
    per_class: dict[str, ClassShare]
    confusion: Confusion
    count: float


@dataclass(frozen=True, kw_only=True)
class Shared(Record):
    """Of draws where both sides are known: the share that has its query's value, what that would be
    for draws from the whole pool alike, and their number."""

    share: float
    chance: float
    draws: int


def shared(
    pairs: Sequence[tuple[str | None, str | None]], pool: Mapping[str | None, int]
) -> Shared | None:
    """pairs: of each draw its query's value and its own; pool: value -> its utterances. None stands
    for an unknown value. None where no draw has both."""
    known = [(own, found) for own, found in pairs if own is not None and found is not None]
    total = sum(count for value, count in pool.items() if value is not None)
    if not known or not total:
        return None
    return Shared(
        share=float(np.mean([own == found for own, found in known])),
        chance=float(np.mean([pool.get(own, 0) for own, _ in known])) / total,
        draws=len(known),
    )


def drawn(query_labels: np.ndarray, item_labels: np.ndarray, classes: int) -> np.ndarray:
    """Mass of draws: query_labels (A,), gold labels of the drawn items (A, draws) -> (C, C) int64.

    Raises ValueError where shapes or labels do not fit.
    """
    _check(query_labels, classes)
    _check(item_labels, classes)
    if item_labels.ndim != 2 or len(item_labels) != len(query_labels):
        raise ValueError(
            f"items of shape {item_labels.shape} for {count_of(len(query_labels), 'query')}"
        )
    owners = np.broadcast_to(query_labels[:, None], item_labels.shape)
    known = (owners >= 0) & (item_labels >= 0)
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (owners[known], item_labels[known]), 1)
    return matrix


def nearest(
    query_labels: np.ndarray, pool_labels: np.ndarray, similarity: np.ndarray, classes: int
) -> np.ndarray:
    """Mass of each query's most similar item of known label; similarity (A, B) -> (C, C) int64."""
    _check_similarity(query_labels, pool_labels, similarity, classes)
    found = np.empty((len(query_labels), 1), dtype=np.int64)
    unknown = pool_labels < 0
    for rows, block in _blocks(similarity):
        found[rows, 0] = pool_labels[np.where(unknown, -np.inf, block).argmax(axis=1)]
    return drawn(query_labels, found, classes)


def expected(
    query_labels: np.ndarray,
    pool_labels: np.ndarray,
    similarity: np.ndarray,
    temperature: float,
    classes: int,
) -> np.ndarray:
    """Mass under softmax(similarity / T) (SAAML Eq. 5), exactly -> (C, C) float64.

    query_labels (A,), pool_labels (B,), similarity (A, B): an array or a memory map, read in
    blocks of rows. A query's mass is 1 minus that of items of unknown label.

    Raises ValueError if shapes, labels or the temperature do not fit.
    """
    _check_similarity(query_labels, pool_labels, similarity, classes)
    if not 0 < temperature < np.inf:
        raise ValueError(f"the temperature is {temperature}; it must be positive")
    member = (pool_labels[:, None] == np.arange(classes)).astype(np.float64)
    matrix = np.zeros((classes, classes))
    for rows, block in _blocks(similarity):
        weights = np.exp((block - block.max(axis=1, keepdims=True)) / temperature)
        shares = weights @ member / weights.sum(axis=1, keepdims=True)
        owners = query_labels[rows]
        np.add.at(matrix, owners[owners >= 0], shares[owners >= 0])
    return matrix


def evaluate(matrix: np.ndarray, classes: Sequence[str]) -> RetrievalScores:
    """Scores of a mass matrix: pseudo-label accuracy overall, macro and per class.

    Raises ValueError where there is no mass.
    """
    shares = recall(matrix)
    counts = matrix.sum(axis=1).tolist()
    return RetrievalScores(
        accuracy=accuracy(matrix),
        macro=unweighted_accuracy(matrix),
        per_class={
            name: ClassShare(accuracy=defined(share), count=count)
            for name, share, count in zip(classes, shares, counts)
        },
        confusion=Confusion.of(matrix, classes),
        count=matrix.sum().item(),
    )


def _blocks(similarity: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of rows, and those rows as float64."""
    height = max(1, BLOCK_BYTES // (8 * similarity.shape[1]))
    for start in range(0, len(similarity), height):
        rows = slice(start, start + height)
        yield rows, np.asarray(similarity[rows], dtype=np.float64)


def _check(labels: np.ndarray, classes: int) -> None:
    if labels.size and (labels.min() < -1 or labels.max() >= classes):
        raise ValueError(f"labels must be indices from -1 to {classes - 1}")


def _check_similarity(
    query_labels: np.ndarray, pool_labels: np.ndarray, similarity: np.ndarray, classes: int
) -> None:
    _check(query_labels, classes)
    _check(pool_labels, classes)
    if similarity.shape != (len(query_labels), len(pool_labels)):
        raise ValueError(
            f"similarities of shape {similarity.shape} do not fit "
            f"{count_of(len(query_labels), 'query')} and {count_of(len(pool_labels), 'item')}"
        )
    if not (pool_labels >= 0).any():
        raise ValueError("no item of the pool has a known label")
