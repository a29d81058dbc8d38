"""Cross-entropy of a continuous label's bin (SS-VAERR, equation 3: 20 bins of equal width)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.objectives.losses.cross_entropy import MISSING, cross_entropy


def binned_cross_entropy(
    logits: Tensor, gold: Tensor, known: Tensor, centres: Tensor
) -> tuple[Tensor, Tensor]:
    """logits (..., K), gold and known (...), centres (K,) rising -> (sum over the known values,
    their count)"""
    return cross_entropy(logits.flatten(0, -2), bins(gold, known, centres).flatten())


def bins(gold: Tensor, known: Tensor, centres: Tensor) -> Tensor:
    """(...) int64: the bin of the nearest centre, the higher of two equally near; -1 where gold is
    not known. Bins of equal width are those of their centres; the outer ones have no end."""
    between = (centres[1:] + centres[:-1]) / 2
    found = torch.bucketize(gold.contiguous(), between, right=True)
    return found.masked_fill(~known, MISSING)
