"""Adversarial adaptive clustering (CDAC, Li et al. 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# A probability of 0 has no logarithm.
_SMALLEST = 1e-7


def adversarial_clustering(
    features: Tensor,
    probabilities: Tensor,
    others: Tensor,
    known: Tensor,
    ranked: int,
    everyone: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Whether the predictions of two utterances agree, against whether their features do.

    features (N, D), of which no gradient is taken; probabilities (N, C) of one view and others
    (N, C) of another; known (N,) bool. Two utterances are similar if the same `ranked` features are
    the largest of both, in any order. Of each ordered pair of known utterances, one with itself
    included, the binary cross-entropy of p = sum_c probabilities_ic others_jc -> (sum, pairs).
    Classifier and encoder are trained against each other by it: the first raises it.

    everyone: "features" (M, D), "others" (M, C) and "known" (M, 1) of all ranks; the first of a
    pair is then of this rank, so that the sums of all ranks add up to that of the whole batch.
    """
    among, all_known = features, known
    if everyone is not None:
        among, others = everyone["features"], everyone["others"]
        all_known = everyone["known"][:, 0] > 0
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    agreeing = (probabilities.to(dtype) @ others.to(dtype).T).clamp(_SMALLEST, 1.0 - _SMALLEST)
    similar = similar_pairs(features, ranked, among)
    losses = -torch.where(similar, agreeing.log(), (1.0 - agreeing).log())
    pairs = known[:, None] & all_known[None]
    return torch.where(pairs, losses, 0.0).sum(), pairs.sum()


def similar_pairs(features: Tensor, ranked: int, among: Tensor | None = None) -> Tensor:
    """(N, D) -> (N, N) bool: the `ranked` largest features of both are the same ones. among (M, D):
    the others of the pairs, (N, M)."""
    own, others = (
        values.detach().topk(ranked, dim=1).indices.sort(dim=1).values
        for values in (features, features if among is None else among)
    )
    return (own[:, None] == others[None]).all(dim=2)
