"""Hidden units: the nearest k-means centroid of each frame (Hsu et al. 2021, section II-A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.standardisation import Standardisation


@dataclass(frozen=True)
class QuantiserConfiguration:
    """clusters: their number K; dim: of the frames."""

    clusters: int
    dim: int


class Quantiser(nn.Module):
    """Centroids (K, D), in the space after `standardisation`."""

    centroids: Tensor

    def __init__(self, configuration: QuantiserConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.standardisation = Standardisation(configuration.dim)
        self.register_buffer("centroids", torch.zeros(configuration.clusters, configuration.dim))

    def forward(self, frames: Tensor) -> Tensor:
        """frames (..., D) -> (...) int64: the index of the nearest centroid, the first of
        several."""
        # Half precision would assign many frames to another centroid.
        with torch.autocast(frames.device.type, enabled=False):
            x = self.standardisation(frames.float())
            # |x - c|^2 without |x|^2, which is the same for all centroids: one matrix product.
            distance = self.centroids.square().sum(dim=1) - 2.0 * (x @ self.centroids.T)
            return distance.argmin(dim=-1)
