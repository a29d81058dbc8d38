"""Bins of a continuous label, by their centres: of equal width, or clusters of its values."""

from __future__ import annotations

import numpy as np

from avaffect.core.errors import DataError

# Lloyd's iterations end long before.
ITERATIONS = 1000


def equal_width(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 centres of bins from the least to the largest of values (N,), which differ.

    (SS-VAERR, section III-D: 20 bins.)
    """
    low, high = float(np.min(values)), float(np.max(values))
    return low + (high - low) * (np.arange(count) + 0.5) / count


def clusters(values: np.ndarray, count: int) -> np.ndarray:
    """(count,) float64 rising centroids of values (N,) by k-means, the same for the same values.

    It begins at as many different values, at equal ranks. Raises DataError where there are fewer
    different ones.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    different = np.unique(ordered)
    if len(different) < count:
        raise DataError(
            f"it takes {len(different)} different values, too few for {count} clusters; learn it "
            "by ce instead of ncce"
        )
    centroids = different[np.linspace(0, len(different) - 1, count).round().astype(int)]
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
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
