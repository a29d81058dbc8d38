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

from avaffect.core.progress import followed
from avaffect.core.record import Record

Score = Callable[[np.ndarray], float]
# With no more arrangements than this all of them are counted.
MOST_EXACT = 10_000
# Cells of tables that are drawn at once.
CELLS = 1 << 22
# Of confusion matrices that are in memory at once.
MOST_CELLS = 1 << 25
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

    def add(self, found: np.ndarray, tables: np.ndarray, rows: np.ndarray) -> None:
        """Add (A, R, K) tables of some labels (R,) and all columns to (A, runs, C, C) matrices."""
        for run, of in enumerate(self.predicted):
            order = np.argsort(of, kind="stable")
            names, starts = np.unique(of[order], return_index=True)
            sums = np.add.reduceat(tables[:, :, order], starts, axis=2)
            # A prediction that is missing is of no class.
            known = names >= 0
            found[:, run][:, rows[:, None], names[known]] += sums[:, :, known]

    def confusions(self, golds: np.ndarray, classes: int) -> np.ndarray:
        """(A, n) arrangements -> (A, runs, C, C)."""
        found = np.zeros((len(golds), len(self.predicted), classes, classes), dtype=np.int64)
        self.add(found, self.tables(golds, classes), np.arange(classes))
        return found

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
    found = iter([_all(parts, classes)]) if exact else _drawn(parts, classes, draws, random)
    observed = _observed(parts, classes)
    own = {name: _mean(score, observed) - ROUNDING for name, score in scores.items()}
    higher = dict.fromkeys(scores, 0)
    for block in found:
        for name, score in scores.items():
            higher[name] += sum(_mean(score, matrices) >= own[name] for matrices in block)
    p = {n: high / count if exact else (high + 1) / (draws + 1) for n, high in higher.items()}
    return p, exact, int(count) if exact else draws


def _observed(parts: Sequence[_Group], classes: int) -> np.ndarray:
    """(runs, C, C)."""
    found = np.zeros((1, len(parts[0].predicted), classes, classes), dtype=np.int64)
    for part in parts:
        part.add(found, part.tables(part.gold[None], classes), np.arange(classes))
    return found[0]


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
        own = part.confusions(golds, classes)
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
) -> Iterator[np.ndarray]:
    """(draws, runs, C, C), some of the draws at a time."""
    runs = len(parts[0].predicted)
    most = min(draws, max(1, MOST_CELLS // (runs * classes**2)))
    for start in range(0, draws, most):
        found = np.zeros((min(most, draws - start), runs, classes, classes), dtype=np.int64)
        for part in followed(parts, "permutations", len(parts), "groups"):
            _add_drawn(found, part, classes, random)
        yield found


def _add_drawn(found: np.ndarray, part: _Group, classes: int, random: np.random.Generator) -> None:
    """Add random tables of a group to (A, runs, C, C) matrices."""
    counts, columns = np.bincount(part.gold, minlength=classes), np.bincount(part.columns)
    # A label that does not occur takes no draw.
    (rows,) = np.nonzero(counts)
    step = max(1, CELLS // (classes * len(columns)))
    for start in range(0, len(found), step):
        block = found[start : start + step]
        part.add(block, _tables(counts[rows], columns, len(block), random), rows)


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
