"""Heads that compare views of the same clip: those of BYOL and DINO. Not used downstream."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.batch_norm import BatchNorm1d


class Perceptron(nn.Sequential):
    """Linear, batch norm, ReLU, linear: BYOL's projector and predictor (Grill et al. 2020,
    section 3.3), there with 4,096 hidden units and 256 outputs. (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, hidden), BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )


class DistillationHead(nn.Module):
    """DINO's head (Caron et al. 2021, appendix C): three dense layers with GELU, with batch norm or
    without, normalisation to unit length, and cosines with `outputs` directions.

    Published with 2,048 hidden units, a bottleneck of 256 and 65,536 directions.
    """

    def __init__(
        self, inputs: int, hidden: int, bottleneck: int, outputs: int, batch_norm: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in (inputs, hidden):
            norm = [BatchNorm1d(hidden)] if batch_norm else []
            layers += [nn.Linear(size, hidden), *norm, nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                # 0.02 is published for 2,048 inputs; in narrower layers, with weights as small,
                # biases would soon dominate.
                std = 0.02 * math.sqrt(2048 / layer.in_features)
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
                nn.init.zeros_(layer.bias)
        # Weight norm with constant length 1.
        self.directions = nn.Linear(bottleneck, outputs, bias=False)

    def embed(self, pooled: Tensor) -> Tensor:
        """(B, inputs) -> (B, bottleneck) of length 1, at least float32."""
        found = self.layers(pooled)
        return F.normalize(found.to(torch.promote_types(found.dtype, torch.float32)), dim=1)

    def scores(self, embedded: Tensor) -> Tensor:
        """The result of `embed` -> (B, outputs)."""
        # They are divided by a temperature of 0.04: half precision would be too coarse.
        with torch.autocast(embedded.device.type, enabled=False):
            return F.linear(embedded, F.normalize(self.directions.weight, dim=1))
