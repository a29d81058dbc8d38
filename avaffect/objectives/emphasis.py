"""What class labels count in losses: weights of classes, smoothed targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.objectives.losses.cross_entropy import MISSING


@dataclass(frozen=True)
class Emphasis:
    """Of one label.

    class_weights  (C,) of the classes; None: all are 1
    smoothing      share of a target that is spread over all classes (Szegedy et al. 2016)
    gamma          of the focal loss
    """

    class_weights: tuple[float, ...] | None = None
    smoothing: float = 0.0
    gamma: float = 2.0

    def weights(self, targets: Tensor) -> Tensor | None:
        """(N,) weights of utterances with targets (N,), -1 missing, or (N, C) shares, a row of NaN
        missing: that of the class, or the mean over the shares; 0 where it is missing."""
        if self.class_weights is None:
            return None
        each = torch.tensor(self.class_weights, device=targets.device)
        if targets.ndim == 1:
            return each[targets.clamp(min=0)] * (targets != MISSING)
        return torch.nan_to_num(targets.float() @ each)

    def smoothed(self, shares: Tensor) -> Tensor:
        """(N, C) -> (N, C) with the same sum in each row"""
        return (1 - self.smoothing) * shares + self.smoothing / shares.shape[1]
