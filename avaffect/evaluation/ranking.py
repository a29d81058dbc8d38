"""Average precision of scores, and its expectation for a random order."""

from __future__ import annotations

import numpy as np


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """scores (N,), relevant (N,) bool -> the sum over thresholds n of (R_n - R_{n-1}) P_n, of
    recall R and precision P among the items with a score of at least the n-th, as in scikit-learn:
    without interpolation, and items of equal scores come together. NaN where none is relevant.

    Raises ValueError for a score that is no number.
    """
    scores, relevant = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=bool)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    if not relevant.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(relevant[order])
    # The last of each group of equal scores.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    precision = found[ends] / (ends + 1)
    return float((np.diff(found[ends], prepend=0) * precision).sum() / relevant.sum())


def expected_precision(count: int, relevant: int) -> float:
    """The mean of `average_precision` over all orders of `count` items, of which so many are
    relevant; NaN where none is.

    A relevant item has place k, each equally likely, and of the k - 1 before it each is relevant
    with (relevant - 1) / (count - 1): the mean of (1 + (k - 1) (relevant - 1) / (count - 1)) / k.
    """
    if not relevant:
        return float("nan")
    places = np.arange(1, count + 1)
    share = (relevant - 1) / max(count - 1, 1)
    return float(((1 + (places - 1) * share) / places).mean())
