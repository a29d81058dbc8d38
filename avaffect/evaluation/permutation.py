"""Are predictions better than chance? Permutation tests of scores of classes.

Gold labels change places among the utterances of one speaker, and predictions stay: a classifier
that knows the speaker, or how often that speaker is of each class, and nothing of an utterance
gains nothing by that. Labels that change places among all utterances would take such a classifier
for better than chance, as utterances of a speaker are not exchangeable with those of another
(Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, chapter 3; Ojala and
Garriga, Permutation tests for studying classifier performance, JMLR 11, 2010).

All that a score sees of an arrangement is its confusion matrix, whose sums are fixed: it is drawn
as a random table of these sums, in a time that does not grow with the number of utterances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.record import Record

Score = Callable[[np.ndarray], float]
# With no more arrangements than this all of them are counted.
MOST_EXACT = 10_000
# Cells of tables that are drawn at once.
CELLS = 1 << 22
# Scores of equal matrices differ by rounding alone.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class PermutationTest(Record):
    """p: score -> share of arrangements of the labels with a score as high (one-sided); exact: of
    all that there are, else of random ones and the observed one; arrangements: their number; within
    speakers or all utterances; units: how many speakers."""

    p: dict[str, float]
    exact: bool
    arrangements: int
    within: str
    units: int


@dataclass(frozen=True)
class _Group:
    """gold (n,); columns (n,): index of the tuple of predictions, which are in predicted (runs, K):
    one class of each run, -1 where it did not predict."""

    gold: np.ndarray
    columns: np.ndarray
    predicted: np.ndarray

    def arrangements(self) -> float:
        """How many different ones there are of its labels; inf for very many."""
        counts = np.bincount(self.gold).tolist()
        logarithm = math.lgamma(len(self.gold) + 1) - sum(math.lgamma(n + 1) for n in counts)
        if logarithm > 2 * math.log(MOST_EXACT):
            return math.inf
        found = math.factorial(len(self.gold))
        for count in counts:
            found //= math.factorial(count)
        return found

    def confusions(self, tables: np.ndarray, classes: int) -> np.ndarray:
        """(A, C, K) tables of labels and columns -> (A, runs, C, C)."""
        # A prediction that is missing is of no class.
        classes_of = np.vstack([np.eye(classes, dtype=np.int64), np.zeros(classes, dtype=np.int64)])
        return np.stack([tables @ classes_of[of] for of in self.predicted], axis=1)

    def tables(self, golds: np.ndarray, classes: int) -> np.ndarray:
        """(A, n) arrangements -> (A, C, K)."""
        found = np.zeros((len(golds), classes, self.predicted.shape[1]), dtype=np.int64)
        np.add.at(found, (np.arange(len(golds))[:, None], golds, self.columns[None]), 1)
        return found


def permutation_test(
    gold: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    classes: int,
    scores: Mapping[str, Score],
    draws: int,
    random: np.random.Generator,
) -> tuple[dict[str, float], bool, int]:
    """p of each score's mean over runs, whether it is exact, and the number of arrangements.

    gold (N,): classes 0 to C - 1; predicted (runs, N): likewise, -1 where a run has no prediction;
    groups (N,): speakers. Where more than MOST_EXACT arrangements exist, `draws` are drawn and p is
    (as high + 1) / (draws + 1).
    """
    parts = [_group(gold[rows], predicted[:, rows]) for rows in _rows(groups)]
    count = math.prod(part.arrangements() for part in parts)
    exact = count <= MOST_EXACT
    found = _all(parts, classes) if exact else _drawn(parts, classes, draws, random)
    observed = sum(part.confusions(part.tables(part.gold[None], classes), classes)[0]
                   for part in parts)  # fmt: skip
    p = {}
    for name, score in scores.items():
        own = _mean(score, observed) - ROUNDING
        higher = sum(_mean(score, matrices) >= own for matrices in found)
        p[name] = higher / count if exact else (higher + 1) / (draws + 1)
    return p, exact, int(count) if exact else draws


def _mean(score: Score, matrices: np.ndarray) -> float:
    return float(np.mean([score(matrix) for matrix in matrices if matrix.any()]))


def _rows(groups: np.ndarray) -> Sequence[np.ndarray]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _group(gold: np.ndarray, predicted: np.ndarray) -> _Group:
    distinct, columns = np.unique(predicted, axis=1, return_inverse=True)
    return _Group(gold, columns.reshape(-1), distinct)


def _all(parts: Sequence[_Group], classes: int) -> np.ndarray:
    """(A, runs, C, C): of every arrangement of the labels of each group."""
    found = np.zeros((1, len(parts[0].predicted), classes, classes), dtype=np.int64)
    for part in parts:
        golds = np.array(list(_distinct(part.gold.tolist())))
        own = part.confusions(part.tables(golds, classes), classes)
        found = (found[:, None] + own[None]).reshape(-1, *found.shape[1:])
    return found


def _distinct(values: Sequence[int]) -> Iterator[list[int]]:
    """Every different arrangement of the values."""
    if not values:
        yield []
    for first in sorted(set(values)):
        rest = list(values)
        rest.remove(first)
        for others in _distinct(rest):
            yield [first, *others]


def _drawn(
    parts: Sequence[_Group], classes: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """(draws, runs, C, C)."""
    found = np.zeros((draws, len(parts[0].predicted), classes, classes), dtype=np.int64)
    for part in parts:
        rows = np.bincount(part.gold, minlength=classes)
        columns = np.bincount(part.columns)
        step = max(1, CELLS // (classes * len(columns)))
        for start in range(0, draws, step):
            size = min(step, draws - start)
            tables = _tables(rows, columns, size, random)
            found[start : start + size] += part.confusions(tables, classes)
    return found


def _tables(
    rows: np.ndarray, columns: np.ndarray, size: int, random: np.random.Generator
) -> np.ndarray:
    """(size, C, K) random tables with the sums rows (C,) and columns (K,), cell by cell, each given
    those before. (Patefield's method in scipy.stats.random_table is wrong where a sum is 0.)"""
    found = np.zeros((size, len(rows), len(columns)), dtype=np.int64)
    left = np.tile(columns.astype(np.int64), (size, 1))
    for row, total in enumerate(rows[:-1].tolist()):
        needed = np.full(size, total)
        others = left.sum(axis=1)
        for column in range(len(columns)):
            others -= left[:, column]
            found[:, row, column] = random.hypergeometric(left[:, column], others, needed)
            needed -= found[:, row, column]
        left -= found[:, row]
    found[:, -1] = left
    return found
