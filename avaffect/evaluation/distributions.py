"""Scores of predicted distributions over classes (raters' votes).

    CE  -sum_c y_c log p_c, the cross-entropy of a predicted distribution p with shares y
    KL  sum_c y_c log (y_c / p_c): CE less the entropy of y, 0 where p is y

In nats, as means over utterances; y_c = 0 adds nothing, and p_c is no less than 1e-7: predictions
are written with six decimals.
"""

from __future__ import annotations

import numpy as np

SCORES = ("kl", "ce")
LEAST = 1e-7


def shares(votes: np.ndarray) -> np.ndarray:
    """Votes (N, C) -> shares (N, C) float64 that sum to 1; a row of NaN without votes, or with
    NaN."""
    votes = np.asarray(votes, dtype=np.float64)
    total = votes.sum(axis=1, keepdims=True)
    undefined = np.full_like(votes, np.nan)
    return np.divide(votes, total, out=undefined, where=total > 0)


def majority(found: np.ndarray) -> np.ndarray:
    """(N,) int64: the class with the largest share in rows of (N, C); -1 for a tie or NaN."""
    if not found.size:
        return np.full(len(found), -1, dtype=np.int64)
    largest = found.max(axis=1, keepdims=True)
    single = (found == largest).sum(axis=1) == 1
    return np.where(single, np.argmax(np.nan_to_num(found, nan=-1.0), axis=1), -1)


def cross_entropy(predicted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) of predictions and shares (N, C)"""
    return -(right * np.log(np.maximum(predicted, LEAST))).sum(axis=1)


def divergence(predicted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) Kullback-Leibler divergences of predictions from shares (N, C)"""
    logs = np.log(np.where(right > 0, right, 1.0))
    return cross_entropy(predicted, right) + (right * logs).sum(axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) scores -> probabilities"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
