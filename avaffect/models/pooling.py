"""Vectors of utterances from their frames or tokens: mean, mean and deviation, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import ClassVar

import torch
from torch import Tensor, nn

from avaffect.models.encoder import Encoded, Frames, Tokens
from avaffect.models.heads.base import HeadInput

# The derivative of a square root at 0 is infinite.
_LEAST_VARIANCE = 1e-8
_NEVER = -1e30


@dataclass
class Moments:
    """Of frames or tokens that are computed once: enough for mean and deviation of any sum of their
    layers.

    means (B, layers * dim); products (B, pairs * dim): the covariance of each pair of layers, (0,
    0), (0, 1), ... (1, 1), ..., in each dimension; present (B,) bool.
    """

    means: Tensor
    products: Tensor
    present: Tensor


def pairs_of(layers: int) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(range(layers), 2))


def moments_of(encoded: Encoded, layers: int) -> Tensor:
    """(B, layers * dim + pairs * dim): the rows of `as_moments`, zeros for an utterance that has
    nothing."""
    valid = encoded.valid[..., None].to(encoded.values.dtype)
    count = valid.sum(dim=1).clamp(min=1)
    means = encoded.mean()
    centred = (encoded.values - means[:, None]) * valid
    apart = centred.unflatten(-1, (layers, -1)).unbind(-2)
    products = [(apart[a] * apart[b]).sum(dim=1) / count for a, b in pairs_of(layers)]
    return torch.cat([means, *products], dim=1)


def moments_width(dim: int, layers: int) -> int:
    """Numbers in a row of `moments_of` of so many layers of `dim` numbers in all."""
    return dim + len(pairs_of(layers)) * (dim // layers)


def as_moments(
    rows: Tensor, inputs: Sequence[HeadInput], layers: Mapping[str, int]
) -> dict[str, Moments]:
    """Rows of `moments_of` of each input in turn; NaN where an utterance lacks one of several.
    layers: input -> how many, where not one."""
    found = {}
    widths = [moments_width(item.dim, layers.get(item.name, 1)) for item in inputs]
    for item, part in zip(inputs, rows.split(widths, dim=1)):
        there, part = _present(part, alone=len(inputs) == 1)
        found[item.name] = Moments(part[:, : item.dim], part[:, item.dim :], there)
    return found


def as_frames(pooled: Tensor, inputs: Sequence[HeadInput]) -> dict[str, Frames]:
    """Precomputed means (B, sum of dims) as one frame of each input; of several no frame where they
    are NaN, as the utterance lacks the input."""
    found = {}
    for item, part in zip(inputs, pooled.split([item.dim for item in inputs], dim=1)):
        there, part = _present(part, alone=len(inputs) == 1)
        found[item.name] = Frames(part[:, None], there.long())
    return found


def _present(part: Tensor, alone: bool) -> tuple[Tensor, Tensor]:
    """(B,) bool: utterances that have an input, and its rows (B, D), zero for others. An input that
    is alone is that of all of them, and its rows need no copy."""
    if alone:
        return torch.ones(len(part), dtype=torch.bool, device=part.device), part
    return ~torch.isnan(part[:, 0]), torch.nan_to_num(part)


def mean_and_std(given: Encoded | Moments) -> Tensor:
    """(B, 2 dim): the mean, then the standard deviation over frames or tokens."""
    if isinstance(given, Moments):
        variance = given.products
        return torch.cat([given.means, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)
    weights = given.valid.to(given.values.dtype)
    return _weighted(given.values, weights / weights.sum(dim=1, keepdim=True).clamp(min=1))


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """values (B, N, dim), weights (B, N) of sum 1 -> (B, 2 dim)"""
    mean = (values * weights[..., None]).sum(dim=1)
    squares = (values - mean[:, None]).square()
    variance = (squares * weights[..., None]).sum(dim=1)
    return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)


class AttentiveStatistics(nn.Module):
    """Attentive statistics pooling (Okabe et al. 2018, equations 3 to 6): mean and standard
    deviation under the weights softmax_t(v . tanh(W h_t + b) + k). It begins with v = 0: the plain
    mean and deviation.

    penalty: of v and W, times that of a head's other weights. With the same, attention learns some
    hundred utterances by heart (benchmarks/RESULTS.md).
    """

    penalty: ClassVar[float] = 100.0

    def __init__(self, dim: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, units)
        self.score = nn.Linear(units, 1)
        nn.init.zeros_(self.score.weight)

    def forward(self, encoded: Frames | Tokens) -> Tensor:
        """(B, N, dim) -> (B, 2 dim); an utterance that has nothing gives a mean of 0."""
        scores = self.score(torch.tanh(self.hidden(encoded.values)))[..., 0].float()
        scores = scores.masked_fill(~encoded.valid, _NEVER)
        return _weighted(encoded.values, scores.softmax(dim=1) * encoded.valid)
