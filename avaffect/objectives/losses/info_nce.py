"""InfoNCE: identify the future frame among negatives (van den Oord et al. 2018, equation 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    predicted: Tensor, positives: Tensor, candidates: Tensor, missing: Tensor, column: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the positive among candidates by dot products, and whether its score is
    best.

    predicted and positives (B, T, D); candidates (B, M, D), shared by the frames of a clip; missing
    (B, M) bool; column (B, T) int64, the candidate that the positive replaces -> losses (B, T),
    wins (B, T) bool. Half precision is converted to float32.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        dtype = torch.promote_types(predicted.dtype, torch.float32)
        predicted = predicted.to(dtype)
        right = (predicted * positives.to(dtype)).sum(dim=2, keepdim=True)
        penalty = torch.zeros(missing.shape, dtype=dtype, device=missing.device)
        penalty.masked_fill_(missing, -torch.inf)
        scores = torch.baddbmm(penalty[:, None], predicted, candidates.to(dtype).transpose(1, 2))
        scores = scores.scatter_(2, column[..., None], right)
        losses = F.cross_entropy(scores.flatten(0, 1), column.flatten(), reduction="none")
    return losses.view(column.shape), scores.detach().argmax(dim=2) == column


def draw_distinct(population: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Uniform random subsets: for each size in population (G,) `count` distinct numbers below it.

    (G, count) int64 on the CPU; a population of fewer than `count` is drawn whole, the rest is -1.
    The order within a subset is not random. (Floyd's sampling: Bentley and Floyd 1987.)
    """
    drawn = torch.full((len(population), count), -1, dtype=torch.long)
    uniform = torch.rand(count, len(population), dtype=torch.float64, generator=generator)
    for place in range(count):
        last = population - count + place
        found = (uniform[place] * (last + 1)).long()
        taken = (drawn[:, :place] == found[:, None]).any(dim=1)
        drawn[:, place] = torch.where(last < 0, -1, torch.where(taken, last, found))
    return drawn
