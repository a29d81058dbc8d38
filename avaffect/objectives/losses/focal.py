"""Focal loss: the cross-entropy of what is learned already counts less (Lin et al. 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.objectives.losses.soft_cross_entropy import as_shares, soft_sum


def focal(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, *, gamma: float
) -> tuple[Tensor, Tensor]:
    """logits (N, C), targets (N,) classes, -1 missing, weights (N,) of the rows, 1 by default ->
    (sum of -weight (1 - p)^gamma log p of the targets' probabilities p, number of labelled rows);
    equation 4, with the weights as its alpha. gamma 0: cross-entropy."""
    return soft_focal(logits, as_shares(targets, logits.shape[1]), weights, gamma=gamma)


def soft_focal(
    logits: Tensor, shares: Tensor, weights: Tensor | None = None, *, gamma: float
) -> tuple[Tensor, Tensor]:
    """logits (N, C), shares (N, C) that sum to 1, a row of NaN if unknown, weights (N,) of the
    rows -> (sum of -weight sum_c shares_c (1 - p_c)^gamma log p_c, number of known rows)"""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logarithms = F.log_softmax(logits, dim=1)
    # Above 0: the slope of a power below 1 is infinite there.
    rest = (-torch.expm1(logarithms)).clamp(min=torch.finfo(logits.dtype).tiny)
    return soft_sum(rest**gamma * logarithms, shares, weights)
