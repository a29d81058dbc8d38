"""Per-dimension standardisation with statistics that are stored with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardisation(nn.Module):
    """(x - mean) / std over the last dimension; the identity until `fit` or `set` is called."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """mean, std (D,); a constant dimension (std 0) is only centred."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def fit(self, x: Tensor) -> None:
        """The mean and standard deviation of the rows of x (N, D), N >= 1."""
        x = x.double()
        self.set(x.mean(dim=0), x.std(dim=0, correction=0))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
