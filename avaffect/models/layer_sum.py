"""A weighted sum of layers, learned with the head above it (Yang et al. 2021, SUPERB)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor, nn

from avaffect.models.encoder import Encoded
from avaffect.models.pooling import Moments, pairs_of
from avaffect.models.standardisation import Standardisation


@dataclass(frozen=True)
class LayerSumConfiguration:
    """name         of the head's input that has layers
    layers       their number; first: the number of the first of them, for descriptions
    dim          size of a layer
    standardise  each dimension of each layer is standardised first, by statistics that are stored
    """

    name: str
    layers: int
    dim: int
    first: int = 0
    standardise: bool = False


class LayerSum(nn.Module):
    """sum_l softmax(a)_l h_l; a (layers,) begins at 0: the mean of all layers."""

    def __init__(self, configuration: LayerSumConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.logits = nn.Parameter(torch.zeros(c.layers))
        self.standardisation = Standardisation(c.layers * c.dim) if c.standardise else None

    @property
    def weights(self) -> Tensor:
        """(layers,), not negative, of sum 1"""
        return self.logits.softmax(dim=0)

    def described(self) -> dict[str, float]:
        """The number of each layer -> its weight; the last is the encoder's output."""
        weights = self.weights.detach().tolist()
        return {str(self.configuration.first + place): w for place, w in enumerate(weights)}

    @overload
    def forward(self, encoded: Moments) -> Moments: ...

    @overload
    def forward(self, encoded: Encoded) -> Encoded: ...

    def forward(self, encoded: Encoded | Moments) -> Encoded | Moments:
        """(B, N, layers * dim) -> (B, N, dim), zero in padding; likewise of moments."""
        if isinstance(encoded, Moments):
            return self._of_moments(encoded)
        c = self.configuration
        if encoded.values.shape[1] == 1:
            return encoded.with_values(self._of_one(encoded.values) * encoded.valid[..., None])
        layers = encoded.values.unflatten(-1, (c.layers, c.dim)).unbind(-2)
        scales, shift = self._scales()
        # One after the other: a product of all at once would need as much memory as all layers.
        total = layers[0] * scales[0]
        for layer, scale in zip(layers[1:], scales[1:]):
            total = torch.addcmul(total, layer, scale)
        return encoded.with_values((total + shift) * encoded.valid[..., None])

    def _of_one(self, values: Tensor) -> Tensor:
        """(B, 1, layers * dim) -> (B, 1, dim): means, which are small: one product costs least."""
        c, known = self.configuration, self.standardisation
        standard = values if known is None else known(values)
        return _summed(self.weights, standard.reshape(len(values), c.layers, c.dim))

    def _of_moments(self, given: Moments) -> Moments:
        """The variance of a sum: sum_lm w_l w_m cov(h_l, h_m), in each dimension."""
        c, known, weights = self.configuration, self.standardisation, self.weights
        places = torch.tensor(pairs_of(c.layers), device=weights.device).t()
        products = given.products.unflatten(-1, (-1, c.dim))
        if known is not None:
            std = known.std.view(c.layers, c.dim)[places]
            products = products / (std[0] * std[1])
        means = self._of_one(given.means[:, None])[:, 0]
        one, other = weights[places]
        twice = 1 + (places[0] != places[1])
        variance = _summed(one * other * twice, products)[:, 0]
        there = given.present[:, None].to(means.dtype)
        return Moments(means * there, variance * there, given.present)

    def _scales(self) -> tuple[Tensor, Tensor]:
        """(layers, dim) factors and (dim,) what is added: weights and standardisation in one."""
        c, known = self.configuration, self.standardisation
        if known is None:
            return self.weights[:, None].expand(-1, c.dim), self.weights.new_zeros(())
        scales = self.weights[:, None] / known.std.view(c.layers, c.dim)
        return scales, -(scales * known.mean.view(c.layers, c.dim)).sum(dim=0)


def _summed(weights: Tensor, parts: Tensor) -> Tensor:
    """weights (P,), parts (B, P, dim) -> (B, 1, dim). The operator @ would first copy the parts
    into another order where the weights are learned, which costs more than the sum."""
    return torch.bmm(weights.expand(len(parts), 1, -1), parts)
