"""The conformer of Gulati et al. 2020: attention and convolution over time, between two halves of a
feed-forward network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.convolution import convolve
from avaffect.models.dropout import Dropout
from avaffect.models.encoder import Frames
from avaffect.models.relative_attention import RelativeSelfAttention, sinusoids
from avaffect.models.transformer import SelfAttention, key_bias
from avaffect.models.valid_norm import ValidBatchNorm


@dataclass(frozen=True)
class ConformerConfiguration:
    """blocks: their number; dim: size of a frame; units: of the feed-forward halves; heads: of the
    attention; kernel: of the convolution, an odd number of frames. relative: the attention has
    relative positions; convolution_bias: the convolution over time has a bias (VAVL's has none)."""

    blocks: int = 6
    dim: int = 256
    ffn_dim: int = 2048
    heads: int = 4
    kernel: int = 31
    dropout: float = 0.1
    relative: bool = False
    convolution_bias: bool = True


class FeedForward(nn.Sequential):
    def __init__(self, configuration: ConformerConfiguration) -> None:
        c = configuration
        super().__init__(
            nn.LayerNorm(c.dim), nn.Linear(c.dim, c.ffn_dim), nn.SiLU(), Dropout(c.dropout),
            nn.Linear(c.ffn_dim, c.dim), Dropout(c.dropout),
        )  # fmt: skip


class ConvolutionModule(nn.Module):
    """A gate, a convolution of each channel over time, batch norm; padding has no effect."""

    def __init__(self, configuration: ConformerConfiguration) -> None:
        super().__init__()
        c = configuration
        if c.kernel % 2 == 0:
            raise ValueError(f"kernel {c.kernel}: it must be an odd number of frames")
        self.norm = nn.LayerNorm(c.dim)
        self.expand = nn.Linear(c.dim, 2 * c.dim)
        self.depthwise = nn.Conv1d(
            c.dim, c.dim, c.kernel, groups=c.dim, bias=c.convolution_bias
        )  # fmt: skip
        self.batch_norm = ValidBatchNorm(c.dim)
        self.project = nn.Linear(c.dim, c.dim)
        self.dropout = Dropout(c.dropout)

    def forward(self, x: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), lengths (B,), valid (B, T) bool -> (B, T, dim)"""
        x = F.glu(self.expand(self.norm(x)), dim=2) * valid[..., None]
        convolution = self.depthwise
        x = convolve(
            x.transpose(1, 2), convolution.weight, convolution.bias,
            padding=convolution.kernel_size[0] // 2, groups=convolution.groups,
        )  # fmt: skip
        x = F.silu(self.batch_norm(x, lengths)).transpose(1, 2)
        return self.dropout(self.project(x))


class ConformerBlock(nn.Module):
    def __init__(self, configuration: ConformerConfiguration) -> None:
        super().__init__()
        c = configuration
        self.before = FeedForward(c)
        self.attention_norm = nn.LayerNorm(c.dim)
        attention = RelativeSelfAttention if c.relative else SelfAttention
        self.attention = attention(c.dim, c.heads, c.dropout)
        self.dropout = Dropout(c.dropout)
        self.convolution = ConvolutionModule(c)
        self.after = FeedForward(c)
        self.norm = nn.LayerNorm(c.dim)

    def forward(
        self, x: Tensor, lengths: Tensor, valid: Tensor, bias: Tensor, *relative: Any
    ) -> Tensor:
        """x (B, T, dim), bias (B, 1, 1, T) added to the scores of each key; relative: positions and
        counts, as `RelativeSelfAttention` takes them -> (B, T, dim)"""
        x = x + 0.5 * self.before(x)
        x = x + self.dropout(self.attention(self.attention_norm(x), bias, *relative))
        x = x + self.convolution(x, lengths, valid)
        return self.norm(x + 0.5 * self.after(x))


class Conformer(nn.Module):
    """Blocks over frames. Positions are encoded by the convolutions alone, unless the attention has
    relative ones; padding has no effect."""

    def __init__(self, configuration: ConformerConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.blocks = nn.ModuleList(
            ConformerBlock(configuration) for _ in range(configuration.blocks)
        )

    def forward(self, frames: Frames) -> Frames:
        """(B, T, dim) -> (B, T, dim), zero in padding"""
        valid = frames.valid
        x = frames.values
        bias = key_bias(valid, x.dtype)[:, None, None]
        relative: tuple[Any, ...] = ()
        if self.configuration.relative:
            positions = sinusoids(x.shape[1], x.shape[2], x.device)
            relative = positions, [max(count, 1) for count in frames.lengths.tolist()]
        for block in self.blocks:
            x = block(x, frames.lengths, valid, bias, *relative)
        return Frames(x * valid[..., None], frames.lengths)
