"""SAAML's projector, from pooled features to embeddings (section 3 and implementation details)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from avaffect.models.dropout import TorchDropout
from avaffect.models.standardisation import Standardisation


@dataclass(frozen=True)
class ProjectorConfiguration:
    """dim of the encoder's frames; sizes of the two dense layers; classes of the classifier.
    hidden 0: there are none, and `embedding` is dim."""

    dim: int
    classes: int
    hidden: int = 256
    embedding: int = 32
    dropout: float = 0.0


class Projector(nn.Module):
    """SAAML's Embedding Projector: two dense layers of {256, 32}, and a classifier on top.

    Without dense layers its embeddings are the standardised features themselves: retrieval without
    metric learning.

    It stores the standardisation of its input. The statistics are the source corpus's; they may be
    replaced by those of another corpus (`standardisation.set`).
    """

    def __init__(self, configuration: ProjectorConfiguration) -> None:
        """Raises ValueError for an embedding of another size than `dim` without dense layers."""
        super().__init__()
        c = configuration
        if not c.hidden and c.embedding != c.dim:
            raise ValueError(f"features of {c.dim} are no embeddings of {c.embedding}")
        self.configuration = c
        self.standardisation = Standardisation(c.dim)
        self.dense = nn.Sequential()
        if c.hidden:
            self.dense = nn.Sequential(
                nn.Linear(c.dim, c.hidden),
                nn.ReLU(),
                TorchDropout(c.dropout),
                nn.Linear(c.hidden, c.embedding),
            )
        self.classifier = nn.Linear(c.embedding, c.classes)

    def forward(self, pooled: Tensor) -> Tensor:
        """pooled (B, dim) -> embeddings (B, embedding), not normalised"""
        return self.dense(self.standardisation(pooled))
