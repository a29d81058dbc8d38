"""What raters' votes and traces are like before a training.

Fleiss' kappa  agreement beyond chance, 1 of raters who always agree, 0 of chance:
               (P - E) / (1 - E), with P the mean over utterances of the share of pairs of raters
               that agree, and E the sum of the squared shares of the classes: Fleiss, Measuring
               nominal scale agreement among many raters, Psychological Bulletin 76(5), 1971; here
               the number of raters may differ between utterances.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avaffect.evaluation.distributions import majority, shares


@dataclass(frozen=True)
class Agreement:
    """count: utterances with votes; raters: their median an utterance, and kappa, None where votes
    are shares rather than numbers of raters; top: mean share of the most voted class; unanimous,
    tied: shares of the utterances."""

    count: int
    raters: float | None = None
    top: float | None = None
    unanimous: float | None = None
    tied: float | None = None
    kappa: float | None = None


def agreement(votes: np.ndarray) -> Agreement:
    """votes: (N, C) numbers or shares, NaN or all 0 where there are none."""
    found = shares(votes)
    rated = np.isfinite(found).all(axis=1)
    found, numbers = found[rated], np.asarray(votes, dtype=np.float64)[rated]
    if not len(found):
        return Agreement(0)
    of_each = numbers.sum(axis=1)
    are_numbers = bool((numbers == np.round(numbers)).all() and of_each.max() > 1)
    return Agreement(
        count=len(found),
        raters=float(np.median(of_each)) if are_numbers else None,
        top=float(found.max(axis=1).mean()),
        unanimous=float((found.max(axis=1) == 1).mean()),
        tied=float((majority(found) < 0).mean()),
        kappa=fleiss_kappa(numbers) if are_numbers else None,
    )


def fleiss_kappa(numbers: np.ndarray) -> float | None:
    """Of (N, C) numbers of raters. None where no utterance has two raters, or all votes are for one
    class."""
    several = numbers[numbers.sum(axis=1) > 1].astype(np.float64)
    if not len(several):
        return None
    of_each = several.sum(axis=1)
    agreed = ((several**2).sum(axis=1) - of_each) / (of_each * (of_each - 1))
    by_chance = float(((several.sum(axis=0) / several.sum()) ** 2).sum())
    return float((agreed.mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else None


@dataclass(frozen=True)
class TraceFacts:
    """Of traces over recordings. count: recordings; raters: the most of one; least, greatest, mean,
    std: of all known values; constant: share of the recordings in which no rater's trace varies;
    unknown: share of the values."""

    count: int
    raters: int = 1
    least: float | None = None
    greatest: float | None = None
    mean: float | None = None
    std: float | None = None
    constant: float | None = None
    unknown: float | None = None


def trace_facts(traces: Iterable[np.ndarray]) -> TraceFacts:
    """traces: (T,) or (T, raters) each, NaN where unknown; those without a known value count in
    `unknown` alone."""
    count = constant = steps = known = 0
    raters, total, squares = 1, 0.0, 0.0
    least, greatest = np.inf, -np.inf
    for trace in traces:
        values = np.asarray(trace, dtype=np.float64)
        columns = values if values.ndim == 2 else values[:, None]
        there = np.isfinite(columns)
        steps, known = steps + columns.size, known + int(there.sum())
        if not there.any():
            continue
        low = np.where(there, columns, np.inf).min(axis=0)
        high = np.where(there, columns, -np.inf).max(axis=0)
        least, greatest = min(least, low.min()), max(greatest, high.max())
        count, raters = count + 1, max(raters, columns.shape[1])
        constant += bool((low >= high).all())
        total, squares = total + columns[there].sum(), squares + (columns[there] ** 2).sum()
    if not count:
        return TraceFacts(0, unknown=1.0 if steps else None)
    mean = total / known
    return TraceFacts(
        count=count, raters=raters, least=float(least), greatest=float(greatest), mean=float(mean),
        std=float(np.sqrt(max(0.0, squares / known - mean**2))), constant=constant / count,
        unknown=1 - known / steps,
    )  # fmt: skip
