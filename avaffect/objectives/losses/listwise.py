"""Kullback-Leibler divergence between the softmax of scores and that of the gold, within a list.

SAAML, appendix A.1, after Xu et al. 2021: over all segments of a recording.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Far below any score, and finite: a row without known values gives no NaN.
_LOWEST = -1e30


def listwise(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """prediction, gold (B, T), known (B, T) bool -> (sum over the rows of KL(softmax(gold) ||
    softmax(prediction)), each over its known values, and the number of rows).

    A row with fewer than two known values has nothing to rank and does not count. A constant that
    is added to the scores of a row changes nothing.
    """
    precise = torch.promote_types(prediction.dtype, torch.float32)
    scores = prediction.to(precise).masked_fill(~known, _LOWEST).log_softmax(dim=1)
    target = gold.to(precise).masked_fill(~known, _LOWEST).log_softmax(dim=1)
    ranked = known.sum(dim=1) > 1
    terms = torch.where(known & ranked[:, None], target.exp() * (target - scores), 0.0)
    return terms.sum(), ranked.sum().to(precise)
