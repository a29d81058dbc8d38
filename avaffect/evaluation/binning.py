"""Bins of a continuous label, by their centres: of equal width, or clusters of its values."""

from __future__ import annotations

import numpy as np

from avaffect.core.errors import DataError

# Lloyd's iterations end long before.
ITERATIONS = 1000
# Of more different values, as many groups of neighbours are divided first.
GROUPS = 1000


def equal_width(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 centres of bins from the least to the largest of values (N,), which differ.

    (SS-VAERR, section III-D: 20 bins.)
    """
    low, high = float(np.min(values)), float(np.max(values))
    return low + (high - low) * (np.arange(count) + 0.5) / count


def clusters(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 rising centroids of values (N,) by k-means, the same for the same values.

    The best there are of up to 1,000 different values; of more, Lloyd's iterations from the best
    division into groups of neighbours. Raises DataError where there are fewer different ones.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    different, held = np.unique(ordered, return_counts=True)
    if len(different) < count:
        raise DataError(
            f"it takes {len(different)} different values, too few for {count} clusters; learn it "
            "by ce instead of ncce"
        )
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    groups = min(len(different), GROUPS)
    starts = np.linspace(0, len(different), groups + 1).round().astype(int)
    # As places among the ordered values.
    bounds = np.concatenate([[0], np.cumsum(held)])[starts]
    means = np.diff(sums[bounds]) / np.diff(bounds)
    ends = bounds[best_parts(means, np.diff(bounds), count)]
    centroids = np.diff(sums[ends]) / np.diff(ends)
    for _ in range(ITERATIONS):
        # A cluster is what lies between two middles, a part of the ordered values.
        ends = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        ends = np.concatenate([[0], ends, [len(ordered)]])
        held = np.diff(ends)
        means = np.divide(np.diff(sums[ends]), held, out=centroids.copy(), where=held > 0)
        if np.array_equal(means, centroids):
            break
        centroids = means
    return centroids


def best_parts(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Rising values (M,), each of a weight (M,) above 0 -> (count + 1,) bounds, from 0 to M, of the
    parts whose weighted squares around their means are least in sum.

    By dynamic programming: the best division of the first values into k parts ends with one part
    after the best division of fewer values into k - 1 (Wang and Song, The R Journal 3(2), 2011).
    Memory grows with M x M.
    """
    # Squares of large values would swallow what lies between them.
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
