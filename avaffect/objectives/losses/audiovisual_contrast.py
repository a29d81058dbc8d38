"""Contrast of audio and video of the same utterances against those of others (Gong et al. 2023,
CAV-MAE, equation 2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast(
    anchors: Tensor, candidates: Tensor, own: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the candidate that belongs to each anchor, by cosine similarity, and whether
    it is the most similar.

    anchors (N, D) of one modality, candidates (M, D) of the other; own (N,) int64, the candidate of
    each anchor -> losses (N,), found (N,) bool. Half precision is converted to float32.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        dtype = torch.promote_types(anchors.dtype, torch.float32)
        scores = F.normalize(anchors.to(dtype), dim=1) @ F.normalize(candidates.to(dtype), dim=1).T
        if not len(anchors):
            # Nothing to compare, though other ranks may have the candidates.
            return scores.sum(dim=1), torch.zeros(0, dtype=torch.bool, device=scores.device)
        losses = F.cross_entropy(scores / temperature, own, reduction="none")
    return losses, scores.detach().argmax(dim=1) == own
