"""Cross-entropy with a distribution over classes, the shares of raters' votes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.objectives.losses.cross_entropy import MISSING


def soft_cross_entropy(
    logits: Tensor, shares: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """logits (N, C), shares (N, C) that sum to 1, a row of NaN if unknown, weights (N,) of the
    rows, 1 by default -> (sum of -weight sum_c shares_c log softmax(logits)_c over known rows,
    their count)"""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return soft_sum(F.log_softmax(logits, dim=1), shares, weights)


def soft_sum(values: Tensor, shares: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """values (N, C), shares (N, C), a row of NaN if unknown, weights (N,) or None -> (sum of
    -weight sum_c shares_c values_c over known rows, their count)"""
    known = known_rows(shares)
    right = torch.where(known[:, None], shares.to(values.dtype), 0.0)
    if weights is not None:
        right = right * torch.where(known, weights.to(values.dtype), 0.0)[:, None]
    return -(right * values).sum(), known.sum()


def known_rows(shares: Tensor) -> Tensor:
    """(N,) bool: rows of shares (N, C) without NaN"""
    return ~torch.isnan(shares).any(dim=1)


def as_shares(targets: Tensor, classes: int) -> Tensor:
    """(N,) classes, -1 missing -> (N, classes) float32, 1 for the class, a row of NaN missing"""
    shares = F.one_hot(targets.long().clamp(min=0), classes).float()
    return shares.masked_fill((targets == MISSING)[:, None], torch.nan)
