"""Dense layers, and a head of them on pooled features (B, D): Frames.mean() leaves padding out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from avaffect.models.dropout import TorchDropout
from avaffect.models.standardisation import Standardisation


def dense(
    dim: int,
    outputs: int,
    hidden: int | None,
    dropout: float,
    hidden_layers: int = 1,
    layer_norm: bool = False,
) -> nn.Sequential:
    """(..., dim) -> (..., outputs): one dense layer where hidden is None; else so many hidden ones,
    each with a ReLU, and a layer norm before it if chosen, below it; dropout before each."""
    layers: list[nn.Module] = [TorchDropout(dropout)]
    for _ in range(0 if hidden is None else hidden_layers):
        assert hidden is not None
        norm = [nn.LayerNorm(hidden)] if layer_norm else []
        layers += [nn.Linear(dim, hidden), *norm, nn.ReLU(), TorchDropout(dropout)]
        dim = hidden
    layers.append(nn.Linear(dim, outputs))
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class HeadConfiguration:
    """hidden None: one dense layer; else two, {hidden, outputs}, with a ReLU between.

    standardise: the input is standardised first, by statistics that the head stores.
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
