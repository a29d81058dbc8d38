"""Bins of a continuous label, by their centres: of equal width, or clusters of its values."""

from __future__ import annotations

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of

# Limit of Lloyd's iterations, which end long before.
ITERATIONS = 1000
# Number of groups of adjacent values, if there are more different values.
GROUPS = 1000


def equal_width(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 centres of bins from the smallest to the largest of values (N,), which must
    differ (SS-VAERR, section III-D: 20 bins)."""
    low, high = float(np.min(values)), float(np.max(values))
    return low + (high - low) * (np.arange(count) + 0.5) / count


def clusters(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 centroids of values (N,) by k-means, in ascending order, deterministic.

    Optimal for up to 1,000 different values; for more, Lloyd's iterations from the best division of
    groups of adjacent values. Raises DataError for fewer different values than clusters.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    different, held = np.unique(ordered, return_counts=True)
    if len(different) < count:
        raise DataError(
            f"it has {count_of(len(different), 'different value')}, too few for "
            f"{count_of(count, 'cluster')}; use the loss ce instead of ncce"
        )
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    groups = min(len(different), GROUPS)
    starts = np.linspace(0, len(different), groups + 1).round().astype(int)
    # Bounds as indices into the ordered values.
    bounds = np.concatenate([[0], np.cumsum(held)])[starts]
    means = np.diff(sums[bounds]) / np.diff(bounds)
    ends = bounds[best_parts(means, np.diff(bounds), count)]
    centroids = np.diff(sums[ends]) / np.diff(ends)
    for _ in range(ITERATIONS):
        # A cluster is a range of the ordered values, between the middles of adjacent centroids.
        ends = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        ends = np.concatenate([[0], ends, [len(ordered)]])
        held = np.diff(ends)
        means = np.divide(np.diff(sums[ends]), held, out=centroids.copy(), where=held > 0)
        if np.array_equal(means, centroids):
            break
        centroids = means
    return centroids


def best_parts(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Ascending values (M,) with weights (M,) above 0 -> (count + 1,) bounds, from 0 to M, of the
    parts with the least sum of weighted squares around their means.

    By dynamic programming: the best division of the first values into k parts ends with one part
    after the best division of fewer values into k - 1 (Wang and Song, The R Journal 3(2), 2011).
    Memory grows with M x M.
    """
    # Centred, as squares of large values would lose the differences between them.
    centred = values - np.average(values, weights=weights)
    powers = weights * centred ** np.arange(3)[:, None]
    summed = np.concatenate([np.zeros((3, 1)), np.cumsum(powers, axis=1)], axis=1)
    weight, first, second = summed[:, None, :] - summed[:, :, None]
    # costs[i, j] of the part from i up to j.
    costs = np.full(weight.shape, np.inf)
    valid = weight > 0
    costs[valid] = np.maximum(second[valid] - first[valid] ** 2 / weight[valid], 0.0)
    best, begins = costs[0], []
    for _ in range(count - 1):
        totals = best[:, None] + costs
        begins.append(totals.argmin(axis=0))
        best = totals.min(axis=0)
    bounds = [len(values)]
    for begin in reversed(begins):
        bounds.append(int(begin[bounds[-1]]))
    return np.array([0, *bounds[::-1]])
