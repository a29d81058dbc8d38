"""Cross-entropy with a distribution over classes, the shares of raters' votes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """logits (N, C), shares (N, C) that sum to 1, a row of NaN if unknown -> (sum of
    -sum_c shares_c log softmax(logits)_c over known rows, their count)"""
    known = known_rows(shares)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    right = torch.where(known[:, None], shares.to(logits.dtype), 0.0)
    return -(right * F.log_softmax(logits, dim=1)).sum(), known.sum()


def known_rows(shares: Tensor) -> Tensor:
    """(N,) bool: rows of shares (N, C) without NaN"""
    return ~torch.isnan(shares).any(dim=1)
