"""The head of masked prediction: scores of units for each frame (HuBERT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class PredictionHeadConfiguration:
    """dim of the encoder's frames; classes (units); size of the space in which they are
    compared."""

    dim: int
    classes: int
    final_dim: int = 256
    temperature: float = 0.1


class PredictionHead(nn.Module):
    """HuBERT's pre-training head: cosine of the projected frame with each class's embedding.

    Its parameters have the published names and are saved beside the encoder's.
    """

    def __init__(self, configuration: PredictionHeadConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.final_proj = nn.Linear(c.dim, c.final_dim)
        self.label_embs_concat = nn.Parameter(torch.randn(c.classes, c.final_dim))

    def forward(self, frames: Tensor) -> Tensor:
        """frames (..., dim) -> scores (..., classes)"""
        projected = self.final_proj(frames)
        # Cosines over a temperature of 0.1: half precision would round scores by some 0.04.
        with torch.autocast(frames.device.type, enabled=False):
            projected = F.normalize(projected.to(self.label_embs_concat.dtype), dim=-1)
            embeddings = F.normalize(self.label_embs_concat, dim=-1)
            return projected @ embeddings.T / self.configuration.temperature
