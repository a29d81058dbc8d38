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
) -> dict[str, tuple[float, float]]:
    """Name -> the bounds that `percent` of the draws lie between, as many beyond each.

    matrices: (runs, S, C, C) confusion matrices of each of S speakers (or utterances) in each run;
    a draw takes S of the speakers, some several times, the same in all runs, and its score is the
    mean over the runs. Raises ValueError for fewer than two speakers.
    """
    found: dict[str, list[float]] = {name: [] for name in scores}
    for of_runs in drawn(matrices, draws, random):
        for name, score in scores.items():
            # A run may have scored nobody who was drawn.
            each = [score(matrix) for matrix in of_runs if matrix.any()]
            if each:
                found[name].append(float(np.mean(each)))
    return {name: bounds(values, percent) for name, values in found.items()}


def drawn(matrices: np.ndarray, draws: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """(runs, C, C) confusion matrices of each draw, from those of speakers as in `intervals`.

    Raises ValueError for fewer than two speakers.
    """
    runs, count = matrices.shape[:2]
    if count < 2:
        raise ValueError("a bootstrap needs two speakers, or utterances, or more")
    shares = np.full(count, 1 / count)
    flat = matrices.reshape(runs, count, -1)
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
