"""Tests of two classifiers on the same utterances, each of which both predicted once.

McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
Psychometrika 12(2), 1947; its correction for continuity: Edwards, Psychometrika 13(3), 1948. The
bootstrap is that of `evaluation.bootstrap`, of differences on the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from avaffect.core.record import Record
from avaffect.evaluation.bootstrap import Confusions, bounds, drawn

Name = TypeVar("Name")
# Of fewer discordant utterances the chi-squared distribution is no good approximation.
FEW_DISCORDANT = 25


@dataclass(frozen=True, kw_only=True)
class McNemar(Record):
    """better, worse: utterances that the first classifier alone predicts correctly, and that the
    second alone does; exact: by the binomial distribution; statistic: chi-squared, None where
    exact; p: two-sided, that both are correct as often."""

    better: int
    worse: int
    exact: bool
    statistic: float | None
    p: float


def mcnemar(better: int, worse: int) -> McNemar:
    """Below 25 discordant utterances (better + worse) the exact binomial test of a half, else
    (|better - worse| - 1)^2 / (better + worse), chi-squared with one degree of freedom."""
    from scipy import stats

    discordant = better + worse
    if discordant < FEW_DISCORDANT:
        p = min(1.0, 2 * float(stats.binom.cdf(min(better, worse), discordant, 0.5)))
        return McNemar(better=better, worse=worse, exact=True, statistic=None, p=p)
    # Equal counts would otherwise be corrected beyond their agreement.
    statistic = max(abs(better - worse) - 1, 0) ** 2 / discordant
    p = float(stats.chi2.sf(statistic, 1))
    return McNemar(better=better, worse=worse, exact=False, statistic=statistic, p=p)


@dataclass(frozen=True)
class Difference:
    """low, high: the bounds of a difference of scores; p: two-sided, that it is 0."""

    low: float
    high: float
    p: float


def differences(
    first: Confusions,
    second: Confusions,
    names: Iterable[Name],
    scores: Callable[[np.ndarray], Sequence[float] | np.ndarray],
    percent: float,
    draws: int,
    random: np.random.Generator,
    counts: np.ndarray | None = None,
) -> dict[Name, Difference]:
    """Name -> the difference of a score, first - second, by bootstrap; without the scores that are
    defined in no draw.

    first, second: of one run on the same speakers (or utterances); scores: of a confusion matrix,
    in the order of the names; counts (S,): how many there are of each, by default one; see
    `bootstrap.distinct`. p is twice
    the share of draws on the other side of 0, or at 0, one draw more on either: the confidence
    beyond which an interval of percentiles has 0. Raises ValueError for fewer than two speakers.
    """
    names = list(names)
    found = np.empty((draws, len(names)))
    for row, (one, other) in enumerate(drawn(first.beside(second), draws, random, counts)):
        found[row] = np.asarray(scores(one)) - np.asarray(scores(other))
    described = {name: difference(found[:, n], percent) for n, name in enumerate(names)}
    return {name: of for name, of in described.items() if of is not None}


def difference(values: np.ndarray, percent: float) -> Difference | None:
    """Of a score's difference in each draw (D,), NaN where it is undefined; None in every draw."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    low, high = bounds(known, percent)
    return Difference(low, high, min(1.0, 2 * (beyond + 1) / (len(known) + 1)))
