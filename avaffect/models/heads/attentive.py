"""Small networks on top of an encoder (SAAML, section 3 and implementation details; HuBERT).

Projector and Head take pooled features (B, D): Frames.mean() leaves padding out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.standardisation import Standardisation


@dataclass(frozen=True)
class ProjectorConfiguration:
    """dim of the encoder's frames; sizes of the two dense layers; classes of the classifier."""

    dim: int
    classes: int
    hidden: int = 256
    embedding: int = 32
    dropout: float = 0.0


class Projector(nn.Module):
    """SAAML's Embedding Projector: two dense layers of {256, 32}, and a classifier upon them.

    The standardisation of its input belongs to it. Its statistics are the source corpus's; they
    may be replaced by those of the corpus at hand (`standardisation.set`).
    """

    def __init__(self, configuration: ProjectorConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.standardisation = Standardisation(c.dim)
        self.dense = nn.Sequential(
            nn.Linear(c.dim, c.hidden),
            nn.ReLU(),
            nn.Dropout(c.dropout),
            nn.Linear(c.hidden, c.embedding),
        )
        self.classifier = nn.Linear(c.embedding, c.classes)

    def forward(self, pooled: Tensor) -> Tensor:
        """pooled (B, dim) -> embeddings (B, embedding), not normalised"""
        return self.dense(self.standardisation(pooled))


def dense(dim: int, outputs: int, hidden: int | None, dropout: float) -> nn.Sequential:
    """(..., dim) -> (..., outputs): one dense layer where hidden is None; else two, {hidden,
    outputs}, with a ReLU between; dropout before each."""
    layers: list[nn.Module] = [nn.Dropout(dropout)]
    if hidden is not None:
        layers += [nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout)]
    layers.append(nn.Linear(dim if hidden is None else hidden, outputs))
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class HeadConfiguration:
    """hidden None: one dense layer; else two, {hidden, outputs}, with a ReLU between.

    standardise: the input is standardised first, by statistics that belong to the head.
    """

    dim: int
    outputs: int
    hidden: int | None = None
    dropout: float = 0.0
    standardise: bool = False


class Head(nn.Module):
    """Dense layers from pooled features to scores.

    Hidden 100 is SAAML's emotion and domain classifier; no hidden layer its evaluation head.
    """

    def __init__(self, configuration: HeadConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        self.layers = dense(c.dim, c.outputs, c.hidden, c.dropout)

    def forward(self, pooled: Tensor) -> Tensor:
        """pooled (B, dim) -> scores (B, outputs)"""
        if self.standardisation is not None:
            pooled = self.standardisation(pooled)
        return self.layers(pooled)


@dataclass(frozen=True)
class PredictionHeadConfiguration:
    """dim of the encoder's frames; classes (units); size of the space where they are compared."""

    dim: int
    classes: int
    final_dim: int = 256
    temperature: float = 0.1


class PredictionHead(nn.Module):
    """HuBERT's pre-training head: cosine of the projected frame with each class's embedding.

    Its parameters bear the published names and are saved beside the encoder's.
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
