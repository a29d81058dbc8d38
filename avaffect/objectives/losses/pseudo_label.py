"""Cross-entropy of the class that a model is sure of in another view (FixMatch, Sohn et al. 2020,
equation 4; CDAC, Li et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.objectives.losses.cross_entropy import MISSING, cross_entropy


def pseudo_labels(logits: Tensor, confidence: float) -> Tensor:
    """logits (N, C) of one view -> (N,) the most probable class, -1 where its probability is below
    `confidence`; without gradient."""
    wide = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
    highest, classes = wide.softmax(dim=1).max(dim=1)
    return torch.where(highest >= confidence, classes, MISSING)


def pseudo_label(logits: Tensor, labels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """logits (N, C) of a view, labels (N,) of another, -1 for none, known (N,) bool -> (sum of the
    cross-entropy over known rows with a label, number of known rows, those without a label too)"""
    total, _ = cross_entropy(logits, torch.where(known, labels, MISSING))
    return total, known.sum()
