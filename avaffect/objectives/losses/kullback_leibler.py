"""Kullback-Leibler divergence from a predicted distribution to raters' votes."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.objectives.losses.soft_cross_entropy import known_rows, soft_cross_entropy


def kullback_leibler(
    logits: Tensor, shares: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """logits (N, C), shares (N, C) that sum to 1, a row of NaN if unknown, weights (N,) of the
    rows, 1 by default -> (weighted sum of KL(shares || softmax(logits)) over known rows, their
    count)

    The cross-entropy less the entropy of the shares: the gradient is that of the cross-entropy, and
    0 is a perfect prediction.
    """
    total, count = soft_cross_entropy(logits, shares, weights)
    known = torch.where(known_rows(shares)[:, None], shares.to(total.dtype), 0.0)
    information = torch.special.xlogy(known, known)
    if weights is not None:
        information = information * weights.to(total.dtype)[:, None]
    return total + information.sum(), count
