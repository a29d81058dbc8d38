"""Cost-sensitive cross-entropy of a continuous label's cluster, nCCE (SS-VAERR, equations 4 and 5;
after Le, Aldeneh and Provost, Interspeech 2017).

Equation 4 of the paper lacks the minus sign.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.objectives.losses.binned_cross_entropy import bins


def cost_sensitive_cross_entropy(
    logits: Tensor, gold: Tensor, known: Tensor, centroids: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the cluster, times 1 + |its centroid - the expected centroid|.

    logits (..., K), gold and known (...), centroids (K,) rising -> (sum over the known values,
    their count). The gradient reaches the logits through both factors.
    """
    precise = torch.promote_types(logits.dtype, torch.float32)
    right = bins(gold, known, centroids)[known]
    log_probabilities = F.log_softmax(logits[known].to(precise), dim=-1)
    centroids = centroids.to(precise)
    cost = 1 + (centroids[right] - log_probabilities.exp() @ centroids).abs()
    entropy = -log_probabilities.gather(-1, right[:, None])[:, 0]
    return (cost * entropy).sum(), known.sum()
