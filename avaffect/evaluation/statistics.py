"""Mean and deviation of a score over runs, and tests of differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Values = Sequence[float] | np.ndarray


def mean_and_std(values: Values) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1 in the denominator; NaN for one value).

    Raises ValueError where there are no values.
    """
    if not len(values):
        raise ValueError("no values to average")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), spread


def mean_defined(values: Sequence[float | None]) -> float | None:
    """The mean of the defined values, None without any; of equal values the value itself, so that
    a count stays an integer."""
    known = [value for value in values if value is not None]
    if len(set(known)) < 2:
        return known[0] if known else None
    return sum(known) / len(known)


@dataclass(frozen=True)
class TTest:
    """difference: mean of first - second; t with `degrees` of freedom; p two-sided."""

    difference: float
    t: float
    degrees: float
    p: float


def paired_t_test(first: Values, second: Values) -> TTest:
    """Student's t-test of paired scores (run i of one way against run i of the other), two-sided.

    If all differences are equal, t = 0 and p = 1 for a difference of 0, otherwise t is infinite and
    p = 0. Raises ValueError for fewer than two pairs.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores cannot be paired")
    if len(first) < 2:
        raise ValueError("a t-test needs two pairs of scores or more")
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean, spread = mean_and_std(differences)
    return _t_test(mean, spread / np.sqrt(len(differences)), len(differences) - 1)


def welch_t_test(first: Values, second: Values) -> TTest:
    """Welch's t-test of scores that do not pair, whose variances may differ, two-sided.

    The degrees of freedom are Satterthwaite's, not a whole number. Scores without variance are
    treated as in `paired_t_test`. Raises ValueError unless both have two scores or more.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("a t-test needs two scores or more on each side")
    (mean, spread), (other, other_spread) = mean_and_std(first), mean_and_std(second)
    parts = np.array([spread**2 / len(first), other_spread**2 / len(second)])
    inverse = (parts**2 / [len(first) - 1, len(second) - 1]).sum()
    degrees = parts.sum() ** 2 / inverse if inverse > 0 else len(first) + len(second) - 2
    return _t_test(mean - other, float(np.sqrt(parts.sum())), float(degrees))


def _t_test(difference: float, error: float, degrees: float) -> TTest:
    """error: the standard error of the difference."""
    from scipy import stats

    without_spread = 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    t = difference / error if error > 0 else without_spread
    return TTest(difference, float(t), degrees, float(2 * stats.t.sf(abs(t), degrees)))
