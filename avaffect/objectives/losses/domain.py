"""Domain-adversarial loss: SAAML's L_DC, Ganin and Lempitsky 2015."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.models.gradient_reversal import reverse_gradient
from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy


def domain_adversarial(
    classifier: nn.Module, pooled: Tensor, domain: Tensor, strength: float
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Two-way cross-entropy of the domain, whose gradient is reversed before it reaches `pooled`.

    pooled (B, D); domain (B,): 0 source, 1 pool, -1 unknown; strength is the reversal's lambda.
    Returns loss and accuracy, each (sum, count).
    """
    logits = classifier(reverse_gradient(pooled, strength))
    with torch.no_grad():
        right = accuracy(logits, domain)
    return cross_entropy(logits, domain), right
