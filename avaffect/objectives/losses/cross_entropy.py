"""Categorical cross-entropy over labelled rows, and the number of correct ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MISSING = -1


def cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """logits (N, C), targets (N,) classes, -1 missing, weights (N,) of the rows, 1 by default ->
    (weighted sum over labelled rows, their count)"""
    targets = targets.long()
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if weights is not None:
        each = F.cross_entropy(logits, targets, ignore_index=MISSING, reduction="none")
        return (each * weights.to(each.dtype)).sum(), (targets != MISSING).sum()
    total = F.cross_entropy(logits, targets, ignore_index=MISSING, reduction="sum")
    return total, (targets != MISSING).sum()


def accuracy(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """logits (N, C), targets (N,) -> (labelled rows whose highest score is right, their count)"""
    labelled = targets != MISSING
    return ((logits.argmax(dim=-1) == targets) & labelled).sum(), labelled.sum()
