"""Masked prediction of hidden units: SAAML equation 6, HuBERT equations 2 and 3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy

Fraction = tuple[Tensor, Tensor]


def masked_prediction(
    head: nn.Module, frames: Tensor, targets: Tensor, selected: Tensor
) -> tuple[Fraction, Fraction]:
    """Cross-entropy of the units of selected frames, and the accuracy.

    frames (B, T, D), targets (B, T) units or -1, selected (B, T) bool; head maps (N, D) to scores
    (N, C). Both results are (sum, count). The paper's equation 6 is a sum over masked frames; the
    mean, by the count, has the same scale as the other losses of the total.
    """
    rows = selected & (targets >= 0)
    chosen = targets[rows]
    logits = head(frames[rows])
    with torch.no_grad():
        right = accuracy(logits, chosen)
    return cross_entropy(logits, chosen), right
