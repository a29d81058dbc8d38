"""One gold standard from the traces of several raters: their mean, median, or weighted mean.

    mean     of the raters known at each time
    median   of the raters known at each time
    ewe      evaluator weighted estimator, sum_k r_k y_k / sum_k r_k over the raters known at each
             time; r_k is the Pearson correlation of rater k with the mean of all raters
    ewe-loo  the same, r_k with the mean of the other raters, and 0 if negative, as the mean of all
             raters includes rater k and makes the rater look reliable

Weights are computed for each recording. An undefined correlation, of a constant or single rater,
has weight 0. If the sum of the weights of the known raters is not above 0 at a time, their mean is
used. NaN: unknown, in a rater's trace and in the result.

Source: Grimm and Kroschel, Evaluation of natural emotions using self assessment manikins, ASRU
2005, whose weights may be negative.
"""

from __future__ import annotations

import numpy as np

from avaffect.evaluation.concordance import pearson

WAYS = ("mean", "median", "ewe", "ewe-loo")


def gold_standard(values: np.ndarray, way: str = "mean") -> np.ndarray:
    """values (T, raters), or (T,) of one, float with NaN -> (T,) float64.

    Raises ValueError for an unknown way, or values of another shape or infinite.
    """
    given = np.asarray(values, dtype=np.float64)
    if way not in WAYS:
        raise ValueError(f"unknown gold standard {way!r}: choose from {', '.join(WAYS)}")
    if given.ndim not in (1, 2):
        raise ValueError(f"traces have shape {given.shape}; expected (T, raters) or (T,)")
    if np.isinf(given).any():
        raise ValueError("a trace has an infinite value")
    if given.ndim == 1:
        return given
    if way == "median":
        return _median(given)
    weights = np.ones(given.shape[1])
    if way != "mean":
        weights = rater_weights(given, leave_one_out=way == "ewe-loo")
    found = _weighted_mean(given, weights)
    return np.where(np.isnan(found), _weighted_mean(given, np.ones_like(weights)), found)


def rater_weights(values: np.ndarray, leave_one_out: bool = False) -> np.ndarray:
    """values (T, raters) -> (raters,): r_k as the module describes it."""
    everyone = np.ones(values.shape[1])
    found = np.zeros(values.shape[1])
    for rater in range(values.shape[1]):
        compared = everyone.copy()
        compared[rater] = 0.0 if leave_one_out else 1.0
        correlation = pearson(values[:, rater], _weighted_mean(values, compared))
        found[rater] = 0.0 if np.isnan(correlation) else correlation
    return found.clip(min=0.0) if leave_one_out else found


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T, raters), (raters,) -> (T,); NaN where the known raters weigh nothing together."""
    known = ~np.isnan(values)
    weight = known @ weights
    undefined = np.full(len(values), np.nan)
    return np.divide(np.where(known, values, 0.0) @ weights, weight, out=undefined,
                     where=weight > 0)  # fmt: skip


def _median(values: np.ndarray) -> np.ndarray:
    """(T, raters) -> (T,) of the raters known at each time."""
    # NaN sorts to the end.
    ordered = np.sort(values, axis=1)
    count = (~np.isnan(values)).sum(axis=1)
    rows = np.arange(len(values))
    middle = [ordered[rows, place.clip(min=0)] for place in ((count - 1) // 2, count // 2)]
    return np.where(count > 0, (middle[0] + middle[1]) / 2, np.nan)
