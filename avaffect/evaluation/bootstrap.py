"""Intervals of scores by bootstrap over speakers: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13 (percentiles); Field and Welsh, Bootstrapping clustered data, Journal of
the Royal Statistical Society B 69(3), 2007 (whole clusters are drawn).

Utterances of a speaker are alike: drawn one by one, they would make an interval too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

Score = Callable[[np.ndarray], float]


def intervals(
    matrices: np.ndarray,
    scores: Mapping[str, Score],
    percent: float,
    draws: int,
    random: np.random.Generator,
    counts: np.ndarray | None = None,
) -> dict[str, tuple[float, float]]:
    """Name -> the bounds that `percent` of the draws lie between, as many beyond each.

    matrices: (runs, S, C, C) confusion matrices of each of S speakers (or utterances) in each run;
    a draw takes S of the speakers, some several times, the same in all runs, and its score is the
    mean over the runs. counts (S,): how many there are of each, by default one; see `distinct`.
    Raises ValueError for fewer than two speakers.
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
    matrices: np.ndarray, draws: int, random: np.random.Generator, counts: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """(runs, C, C) confusion matrices of each draw, from those of speakers as in `intervals`.

    Raises ValueError for fewer than two speakers.
    """
    runs, rows = matrices.shape[:2]
    each = np.ones(rows, dtype=np.int64) if counts is None else counts
    count = int(each.sum())
    if count < 2:
        raise ValueError("a bootstrap needs two speakers, or utterances, or more")
    shares = each / count
    flat = matrices.reshape(runs, rows, -1)
    for _ in range(draws):
        weights = random.multinomial(count, shares)
        yield (weights @ flat).reshape(runs, *matrices.shape[2:])


def bounds(values: Sequence[float] | np.ndarray, percent: float) -> tuple[float, float]:
    """The bounds that `percent` of the values lie between, as many beyond each."""
    beyond = (1 - percent / 100) / 2
    low, high = np.quantile(values, [beyond, 1 - beyond]).tolist()
    return low, high


def grouped(rows: Sequence[int], columns: Sequence[int], groups: Sequence[int], classes: int,
            count: int) -> np.ndarray:  # fmt: skip
    """(count, C, C) int64 confusion matrices of each group (0 to count - 1): gold classes in rows,
    predicted ones in columns, an entry an utterance."""
    found = np.zeros((count, classes, classes), dtype=np.int64)
    np.add.at(found, (np.asarray(groups), np.asarray(rows), np.asarray(columns)), 1)
    return found


def distinct(codes: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Of (runs, N) predictions, gold class x C + predicted class, or C x C where a run has none:
    (runs, P, C, C) matrices of the P that differ in any run, and (P,) how often each occurs. Draws
    of a million utterances take no more time than of a thousand, and have the same distribution."""
    found, counts = np.unique(codes, axis=1, return_counts=True)
    cells = np.vstack([np.eye(classes**2, dtype=np.int64), np.zeros(classes**2, dtype=np.int64)])
    return cells[found].reshape(*found.shape, classes, classes), counts
