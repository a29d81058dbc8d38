"""The transformer of MulT (Tsai et al. 2019, section 3): frames of one stream attend to those of
another, or to themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.dropout import Dropout, TorchDropout
from avaffect.models.encoder import Frames
from avaffect.models.transformer import SelfAttention, key_bias


@dataclass(frozen=True)
class CrossModalConfiguration:
    """dim: size of a frame; dropout: after each sublayer and within the feed-forward network;
    attention_dropout: of the weights of attention; input_dropout: of the scaled input.

    positions: whether sinusoids are added to the inputs. gated: whether each sublayer and its
    residual are weighed by a learned alpha, a sublayer by 1 - alpha (AuxFormer).
    """

    layers: int = 5
    dim: int = 30
    heads: int = 5
    dropout: float = 0.1
    attention_dropout: float = 0.0
    input_dropout: float = 0.25
    positions: bool = True
    gated: bool = False


class CrossModalLayer(nn.Module):
    """Attention and a feed-forward network of four times the width, each normalised before and
    added to its input. Queries and keys share a normalisation."""

    alpha: Tensor | None

    def __init__(self, configuration: CrossModalConfiguration) -> None:
        super().__init__()
        c = configuration
        self.attention = SelfAttention(c.dim, c.heads, c.attention_dropout)
        self.attention_norm = nn.LayerNorm(c.dim)
        self.fc1, self.fc2 = nn.Linear(c.dim, 4 * c.dim), nn.Linear(4 * c.dim, c.dim)
        self.norm = nn.LayerNorm(c.dim)
        self.dropout = Dropout(c.dropout)
        self.register_parameter("alpha", nn.Parameter(torch.rand(1)) if c.gated else None)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, keys: Tensor | None, bias: Tensor) -> Tensor:
        """x (B, T, dim); keys (B, S, dim), None: x; bias (B, 1, T, S) -> (B, T, dim)"""
        keys = None if keys is None else self.attention_norm(keys)
        found = self.attention(self.attention_norm(x), bias, keys=keys)
        x = self._added(x, self.dropout(found))
        hidden = self.dropout(torch.relu(self.fc1(self.norm(x))))
        return self._added(x, self.dropout(self.fc2(hidden)))

    def _added(self, x: Tensor, found: Tensor) -> Tensor:
        if self.alpha is None:
            return x + found
        return self.alpha * x + (1 - self.alpha) * found


class CrossModalEncoder(nn.Module):
    """Layers over the frames of one stream that attend to the input frames of another, or to
    themselves. A frame sees none that is later by more than the difference of both lengths.

    Padding has no effect. An utterance without frames is read as one frame of zeros without a
    position, on either side.
    """

    def __init__(self, configuration: CrossModalConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.layers = nn.ModuleList(CrossModalLayer(c) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.dim)
        self.dropout = Dropout(c.input_dropout)

    def forward(self, frames: Frames, other: Frames | None = None) -> Frames:
        """(B, T, dim), other (B, S, dim) -> (B, T, dim), T at least 1; of an utterance without
        frames one."""
        own = at_least_one(frames)
        x = self._embedded(own, frames.lengths)
        attended = own if other is None else at_least_one(other)
        keys = None if other is None else self._embedded(attended, other.lengths)
        bias = _bias(own, attended, x.dtype)
        for layer in self.layers:
            x = layer(x, keys, bias)
        return Frames(self.norm(x) * own.valid[..., None], own.lengths)

    def _embedded(self, frames: Frames, there: Tensor) -> Tensor:
        """Scaled, with positions where `there` (B,) says that there are frames."""
        c = self.configuration
        x = math.sqrt(c.dim) * frames.values * frames.valid[..., None]
        if c.positions:
            known = Frames(x, there).valid[..., None]
            x = x + sinusoids(x.shape[1], c.dim, x.device) * known
        return self.dropout(x)


class CrossModalPair(nn.Module):
    """Two streams, each of which attends to the other and then to itself.

    across, within: the layers of both steps, of the same width.
    """

    def __init__(
        self, dims: tuple[int, int], across: CrossModalConfiguration,
        within: CrossModalConfiguration,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inputs = nn.ModuleList(projection(dim, across.dim) for dim in dims)
        self.crossing = nn.ModuleList(CrossModalEncoder(across) for _ in dims)
        self.memory = nn.ModuleList(CrossModalEncoder(within) for _ in dims)

    def projected(self, one: Frames, other: Frames) -> tuple[Frames, Frames]:
        """(B, T, dims[0]), (B, S, dims[1]) -> of the width of the layers"""
        first, second = (
            frames.with_values(project(frames.values))
            for frames, project in zip((one, other), self.inputs)
        )
        return first, second

    def forward(self, one: Frames, other: Frames) -> tuple[Tensor, Tensor]:
        """(B, T, dim), (B, S, dim), projected -> (B, dim) each: the last frames"""
        crossed = self.crossing[0](one, other), self.crossing[1](other, one)
        return last(self.memory[0](crossed[0])), last(self.memory[1](crossed[1]))


class Residual(nn.Module):
    """Dense layers with a ReLU between, added to their input, below a last one."""

    def __init__(self, dim: int, units: tuple[int, ...], outputs: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((dim, *units), (*units, dim)):
            layers += [nn.Linear(before, after), nn.ReLU(), TorchDropout(dropout)]
        self.layers = nn.Sequential(*layers[:-2])
        self.output = nn.Linear(dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim) -> (B, outputs)"""
        return self.output(x + self.layers(x))


def projection(dim: int, width: int) -> nn.Module:
    """(..., dim) -> (..., width), linear; an input of this width is read as it is."""
    return nn.Identity() if dim == width else nn.Linear(dim, width, bias=False)


def at_least_one(frames: Frames) -> Frames:
    """The frames; one of zeros of an utterance that has none."""
    values = frames.values * frames.valid[..., None]
    if not values.shape[1]:
        values = F.pad(values, (0, 0, 0, 1))
    return Frames(values, frames.lengths.clamp(min=1))


def last(frames: Frames) -> Tensor:
    """(B, T, dim) -> (B, dim): the last frame of each utterance."""
    rows = torch.arange(len(frames.lengths), device=frames.lengths.device)
    return frames.values[rows, frames.lengths - 1]


def _bias(own: Frames, other: Frames, dtype: torch.dtype) -> Tensor:
    """(B, 1, T, S): 0 where a frame may attend to a key, and far below where it may not."""
    steps = torch.arange(own.values.shape[1], device=own.lengths.device)
    keys = torch.arange(other.values.shape[1], device=own.lengths.device)
    ahead = (other.lengths - own.lengths).abs()[:, None, None]
    seen = (keys <= steps[:, None] + ahead) & other.valid[:, None]
    return key_bias(seen, dtype)[:, None]


def sinusoids(steps: int, dim: int, device: torch.device) -> Tensor:
    """(steps, dim): sines, then cosines, of the positions 1 to `steps`, of periods from 2 pi to
    20,000 pi."""
    half = dim // 2
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(10_000) / max(half - 1, 1)))
    angles = torch.arange(1, steps + 1, device=device)[:, None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, dim % 2))
