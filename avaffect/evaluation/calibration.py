"""Calibration of predicted classes: is a class of probability 0.7 right in 70 % of utterances?

ECE     sum_b n_b / N |accuracy_b - confidence_b| over bins of equal width of the probability of
        the predicted class: (0, 0.1], (0.1, 0.2], ... of ten; Naeini et al., Obtaining well
        calibrated probabilities using Bayesian binning, AAAI 2015; Guo et al., On calibration
        of modern neural networks, ICML 2017
Brier   mean over utterances of sum_c (p_c - [c is right])^2, from 0 to 2; Brier, Verification
        of forecasts expressed in terms of probability, Monthly Weather Review 78(1), 1950
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avaffect.core.record import Record

BINS = 10


@dataclass(frozen=True, kw_only=True)
class Bin(Record):
    """count utterances whose predicted class has a probability above `low`, up to `high`;
    confidence: its mean; accuracy: share of correct ones; None without utterances."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration(Record):
    """count: utterances with probabilities; confidence, accuracy: means over them."""

    ece: float
    brier: float
    confidence: float
    accuracy: float
    count: int
    bins: tuple[Bin, ...]


def evaluate(
    probabilities: np.ndarray, gold: np.ndarray, predicted: np.ndarray, bins: int = BINS
) -> Calibration:
    """probabilities (N, C), gold (N,), predicted (N,): classes 0 to C - 1.

    Raises ValueError without utterances, and for probabilities below 0 or above 1.
    """
    if not len(probabilities):
        raise ValueError("there is nothing to calibrate")
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():
        raise ValueError("a probability is not between 0 and 1")
    rows = np.arange(len(gold))
    confidence = probabilities[rows, predicted]
    right = predicted == gold
    expected = np.zeros_like(probabilities)
    expected[rows, gold] = 1
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    found = tuple(_bin(k, bins, confidence[place == k], right[place == k]) for k in range(bins))
    return Calibration(
        ece=_error(found, len(rows)),
        brier=float(((probabilities - expected) ** 2).sum(axis=1).mean()),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        count=len(rows),
        bins=found,
    )


def together(parts: Sequence[Calibration]) -> Calibration:
    """Of several runs: means of their scores, and their bins together."""
    bins = []
    for of in zip(*(part.bins for part in parts), strict=True):
        known = [one for one in of if one.count]
        weights = [one.count for one in known]
        means: dict[str, Any] = {
            name: float(np.average([getattr(one, name) for one in known], weights=weights))
            if known
            else None
            for name in ("confidence", "accuracy")
        }
        bins.append(Bin(low=of[0].low, high=of[0].high, count=sum(weights), **means))
    scores: dict[str, Any] = {
        name: float(np.mean([getattr(part, name) for part in parts]))
        for name in ("ece", "brier", "confidence", "accuracy")
    }
    return Calibration(count=max(part.count for part in parts), bins=tuple(bins), **scores)


def _bin(place: int, bins: int, confidence: np.ndarray, right: np.ndarray) -> Bin:
    there = len(right) > 0
    return Bin(
        low=place / bins,
        high=(place + 1) / bins,
        count=len(right),
        confidence=float(confidence.mean()) if there else None,
        accuracy=float(right.mean()) if there else None,
    )


def _error(bins: Sequence[Bin], count: int) -> float:
    return sum(
        one.count / count * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    )
