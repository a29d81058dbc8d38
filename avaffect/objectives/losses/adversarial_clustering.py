"""Adversarial adaptive clustering (CDAC, Li et al. 2021, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

# A probability of 0 has no logarithm.
_SMALLEST = 1e-7


def adversarial_clustering(
    features: Tensor, probabilities: Tensor, others: Tensor, known: Tensor, ranked: int
) -> tuple[Tensor, Tensor]:
    """Whether the predictions of two utterances agree, against whether their features do.

    features (N, D), of which no gradient is taken; probabilities (N, C) of one view and others
    (N, C) of another; known (N,) bool. Two utterances are similar if the same `ranked` features are
    the largest of both, in any order. Of each ordered pair of known utterances, one with itself
    included, the binary cross-entropy of p = sum_c probabilities_ic others_jc -> (sum, pairs).
    Classifier and encoder are trained against each other by it: the first raises it.
    """
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    agreeing = (probabilities.to(dtype) @ others.to(dtype).T).clamp(_SMALLEST, 1.0 - _SMALLEST)
    similar = similar_pairs(features, ranked)
    losses = -torch.where(similar, agreeing.log(), (1.0 - agreeing).log())
    pairs = known[:, None] & known[None]
    return torch.where(pairs, losses, 0.0).sum(), pairs.sum()


def similar_pairs(features: Tensor, ranked: int) -> Tensor:
    """(N, D) -> (N, N) bool: the `ranked` largest features of both are the same ones."""
    largest = features.detach().topk(ranked, dim=1).indices.sort(dim=1).values
    return (largest[:, None] == largest[None]).all(dim=2)
