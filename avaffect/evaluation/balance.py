"""Is a label, or a split, confounded with something else? And which values are far from the others?

Cramer's V   of a table of counts, from 0 (independent) to 1: sqrt(chi-squared / (N (min(R, C) -
             1))), with the correction for few counts of Bergsma, A bias-correction for Cramer's
             V and Tschuprow's T, Journal of the Korean Statistical Society 42(3), 2013
epsilon squared  share of the variance of values that is between groups, 1 - (1 - eta^2) (N - 1) /
             (N - groups), with eta^2 of the sums of squares of an analysis of variance, which is
             about (groups - 1) / (N - 1) by chance alone; 0 where it is below: Kelley, An unbiased
             correlation ratio measure, Proceedings of the National Academy of Sciences 21(9), 1935
modified z   0.6745 (x - median) / MAD, the median of |x - median|; beyond 3.5 a value is an
             outlier; where MAD is 0, as half of the values are equal, (x - median) / (1.253314
             MeanAD), the mean: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993
"""

from __future__ import annotations

import numpy as np

FAR = 3.5
# Of a normal distribution: the median absolute deviation in standard deviations.
QUARTILE = 0.6745
# Of a normal distribution: the standard deviation in mean absolute deviations.
MEAN_DEVIATION = 1.253314


def cramers_v(row: np.ndarray, column: np.ndarray, counts: np.ndarray) -> float | None:
    """Of a table's cells that are above 0, corrected for bias; None of fewer than two rows or
    columns. A table of many speakers and classes is nearly empty.

    row, column, counts (N,): of each cell, which stands there once.
    """
    of_rows, of_columns = np.bincount(row, counts), np.bincount(column, counts)
    rows, columns = int((of_rows > 0).sum()), int((of_columns > 0).sum())
    total = float(counts.sum())
    if min(rows, columns) < 2 or total < 2:
        return None
    # The sum of (n - e)^2 / e over all cells, with e = row x column / N, is N (this sum - 1).
    ratio = float((counts.astype(np.float64) ** 2 / of_rows[row] / of_columns[column]).sum()) - 1
    ratio = max(0.0, ratio - (rows - 1) * (columns - 1) / (total - 1))
    most = min(side - (side - 1) ** 2 / (total - 1) for side in (rows, columns)) - 1
    return float(np.sqrt(min(1.0, ratio / most))) if most > 0 else None


def epsilon_squared(values: np.ndarray, groups: np.ndarray) -> float | None:
    """values (N,), NaN unknown; groups (N,) int, below 0 unknown. None of one group, of groups of
    one value each, and of values that do not vary."""
    known = np.isfinite(values) & (groups >= 0)
    x, of = values[known].astype(np.float64), groups[known]
    count = len(np.unique(of))
    if count < 2 or count == len(x):
        return None
    x = x - x.mean()
    whole = float((x * x).sum())
    counts, sums = np.bincount(of), np.bincount(of, weights=x)
    there = counts > 0
    between = float((sums[there] ** 2 / counts[there]).sum())
    if whole <= 0:
        return None
    share = 1 - (1 - min(1.0, between / whole)) * (len(x) - 1) / (len(x) - count)
    return max(0.0, share)


def modified_z(values: np.ndarray) -> np.ndarray:
    """(N,) float64, NaN where the value is; 0 where all are equal."""
    x = values.astype(np.float64)
    if not np.isfinite(x).any():
        return np.full(len(x), np.nan)
    apart = x - np.nanmedian(x)
    spread = float(np.nanmedian(np.abs(apart)))
    if spread > 0:
        return np.asarray(QUARTILE * apart / spread)
    mean = float(np.nanmean(np.abs(apart)))
    return np.asarray(apart / (MEAN_DEVIATION * mean if mean > 0 else 1.0))
