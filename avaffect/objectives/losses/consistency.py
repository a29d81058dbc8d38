"""Squared difference of the predictions of two views (CDAC, Li et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor


def consistency(probabilities: Tensor, others: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) and (N, C) of two views, known (N,) bool -> (sum over known rows of the mean over
    classes of the squared difference, number of known rows)"""
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    squared = (probabilities.to(dtype) - others.to(dtype)).square().mean(dim=1)
    return torch.where(known, squared, 0.0).sum(), known.sum()
