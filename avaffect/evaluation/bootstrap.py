"""Intervals of scores by bootstrap over speakers: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13 (percentiles); Field and Welsh, Bootstrapping clustered data, Journal of
the Royal Statistical Society B 69(3), 2007 (whole clusters are drawn).

Utterances of a speaker are alike: drawn one by one, they would make an interval too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.progress import followed

Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Confusions:
    """Confusion matrices of speakers (or utterances) 0 to rows - 1 in each of several runs, without
    their zeros: memory is that of the utterances, whatever the number of classes.

    runs: of each (E,) rows, cells (gold class x C + predicted class) and counts.
    """

    rows: int
    classes: int
    runs: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]

    @staticmethod
    def of(rows: np.ndarray, cells: np.ndarray, count: int, classes: int) -> Confusions:
        """Of one run, from the row and the cell of each utterance."""
        found, counts = np.unique(rows * classes**2 + cells, return_counts=True)
        return Confusions(count, classes, ((found // classes**2, found % classes**2, counts),))

    def beside(self, *others: Confusions) -> Confusions:
        """With further runs of the same rows."""
        return Confusions(self.rows, self.classes, sum((o.runs for o in others), self.runs))

    def single(self) -> Iterator[Confusions]:
        """Those of each run."""
        return (Confusions(self.rows, self.classes, (run,)) for run in self.runs)

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """(runs, C, C) int64: the matrices of all rows, each so many times."""
        cells = self.classes**2
        found = [np.bincount(at, weights[row] * n, cells) for row, at, n in self.runs]
        # Whole numbers, which a float holds exactly.
        return np.stack(found).astype(np.int64).reshape(-1, self.classes, self.classes)


def intervals(
    matrices: Confusions,
    scores: Mapping[str, Score],
    percent: float,
    draws: int,
    random: np.random.Generator,
    counts: np.ndarray | None = None,
) -> dict[str, tuple[float, float]]:
    """Name -> the bounds that `percent` of the draws lie between, as many beyond each.

    matrices: of S speakers (or utterances); a draw takes S of the speakers, some several times, the
    same in all runs, and its score is the mean over the runs. counts (S,): how many there are of
    each, by default one; see `distinct`. Raises ValueError for fewer than two speakers.
    """
    found: dict[str, list[float]] = {name: [] for name in scores}
    for of_runs in drawn(matrices, draws, random, counts):
        for name, score in scores.items():
            # A run may have scored nobody who was drawn.
            each = [score(matrix) for matrix in of_runs if matrix.any()]
            if each:
                found[name].append(float(np.mean(each)))
    return {name: bounds(values, percent) for name, values in found.items()}


def drawn(
    matrices: Confusions, draws: int, random: np.random.Generator, counts: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """(runs, C, C) confusion matrices of each draw, from those of speakers as in `intervals`.

    Raises ValueError for fewer than two speakers.
    """
    each = np.ones(matrices.rows, dtype=np.int64) if counts is None else counts
    count = int(each.sum())
    if count < 2:
        raise ValueError("a bootstrap needs two speakers, or utterances, or more")
    shares = each / count
    for _ in followed(range(draws), "bootstrap", draws, "draws"):
        yield matrices.sums(random.multinomial(count, shares))


def bounds(values: Sequence[float] | np.ndarray, percent: float) -> tuple[float, float]:
    """The bounds that `percent` of the values lie between, as many beyond each."""
    beyond = (1 - percent / 100) / 2
    low, high = np.quantile(values, [beyond, 1 - beyond]).tolist()
    return low, high


def grouped(
    gold: Sequence[int], predicted: Sequence[int], groups: Sequence[int], classes: int, count: int
) -> Confusions:
    """Of one run: the matrices of each group (0 to count - 1), an entry an utterance."""
    cells = np.asarray(gold, np.int64) * classes + np.asarray(predicted, np.int64)
    return Confusions.of(np.asarray(groups, np.int64), cells, count, classes)


def distinct(codes: np.ndarray, classes: int) -> tuple[Confusions, np.ndarray]:
    """Of (runs, N) predictions, gold class x C + predicted class, or C x C where a run has none:
    the matrices of the P that differ in any run, and (P,) how often each occurs. Draws of a million
    utterances take no more time than of a thousand, and have the same distribution."""
    found, counts = np.unique(codes, axis=1, return_counts=True)
    runs = []
    for of_run in found:
        (there,) = np.nonzero(of_run < classes**2)
        runs.append(Confusions.of(there, of_run[there], len(counts), classes))
    return runs[0].beside(*runs[1:]), counts
