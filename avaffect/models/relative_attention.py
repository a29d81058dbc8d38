"""Self-attention with relative positions (Dai et al. 2019, Transformer-XL), as VAVL's released
conformers have it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.dropout import dropout


def sinusoids(frames: int, dim: int, device: torch.device | None = None) -> Tensor:
    """(frames, dim): sines in even places, cosines in odd ones, of wavelengths from 2 pi to 10,000
    times 2 pi (Vaswani et al. 2017)."""
    place = torch.arange(frames, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000.0) / dim))
    table = torch.zeros(frames, dim, device=device)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)[:, : dim // 2]
    return table


def shifted(scores: Tensor, counts: Sequence[int]) -> Tensor:
    """Scores (B, heads, T, T) of positions, each utterance's as Transformer-XL shifts them, to
    scores of keys; counts: valid frames of each utterance, zero beyond them.

    Query i has for a key j <= i of an utterance of n frames its score of position n - 1 - (i - j).
    The keys after it get what the shift leaves there, as in the released code: for j = i + 1 zero,
    then the scores that query i + 1 has of positions 0, 1, ... Nothing depends on T: padding has no
    effect.
    """
    frames = scores.shape[-1]
    if all(count == frames for count in counts):
        return _shift(scores)
    parts = []
    for own, count in zip(scores, counts):
        spare = frames - count
        parts.append(F.pad(_shift(own[:, :count, :count]), (0, spare, 0, spare)))
    return torch.stack(parts)


def _shift(scores: Tensor) -> Tensor:
    """(..., n, n): a column of zeros in front, read in rows of n from the second row on."""
    count = scores.shape[-1]
    padded = F.pad(scores, (1, 0)).flatten(-2).unflatten(-1, (count + 1, count))
    return padded[..., 1:, :]


class RelativeSelfAttention(nn.Module):
    """Multi-head self-attention whose scores are (q + u) k + (q + v) p over the square root of dim,
    with the projected position p of a key relative to the query.

    It makes tensors of (B, heads, T, T) alone, none of (B, T, T, dim).
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} dimensions cannot be divided among {heads} heads")
        self.heads, self.dropout, self.scale = heads, dropout, dim**-0.5
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.pos_proj = nn.Linear(dim, dim, bias=False)
        self.out_proj = nn.Linear(dim, dim)
        self.u_bias = nn.Parameter(torch.empty(heads, dim // heads))
        self.v_bias = nn.Parameter(torch.empty(heads, dim // heads))
        nn.init.xavier_uniform_(self.u_bias)
        nn.init.xavier_uniform_(self.v_bias)

    def forward(self, x: Tensor, bias: Tensor, positions: Tensor, counts: Sequence[int]) -> Tensor:
        """x (B, T, dim), bias (B, 1, 1, T) added to the scores of each key, positions (T, dim) of
        `sinusoids`, counts: valid frames of each utterance, 1 at least -> (B, T, dim)"""
        split = (self.heads, -1)
        q, k, v = (
            projection(x).unflatten(2, split)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        p = self.pos_proj(positions).unflatten(1, split).permute(1, 2, 0)
        of_positions = ((q + self.v_bias) * self.scale).transpose(1, 2) @ p
        of_keys = ((q + self.u_bias) * self.scale).transpose(1, 2) @ k.permute(0, 2, 3, 1)
        scores = of_keys + shifted(of_positions, counts) + bias
        weights = F.softmax(scores, dim=-1).to(v.dtype)
        y = dropout(weights, self.dropout, self.training) @ v.transpose(1, 2)
        return self.out_proj(y.transpose(1, 2).flatten(2))
