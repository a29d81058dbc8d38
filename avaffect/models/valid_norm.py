"""Batch normalisation of padded sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.models.batch_norm import moments
from avaffect.models.waveform import valid_steps
from avaffect.signal import ranks

MOMENTUM = 0.1


class ValidBatchNorm(nn.Module):
    """Batch norm over (batch, time) with statistics of valid steps alone.

    The running statistics are the mean over the first ten batches, then have a momentum of 0.1, so
    that they do not depend on the initialisation after few steps.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, C, T), lengths (B,) valid steps -> (B, C, T), at least float32."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = self.mean, self.variance
        if self.training and int(ranks.total(lengths.sum())):
            mean, variance = self._of_batch(x, lengths)
        scale = (variance + 1e-5).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        return torch.addcmul(shift[:, None], x, scale[:, None])

    def _of_batch(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of this batch, which update the running ones."""
        valid = valid_steps(lengths, x.shape[2])[:, None]
        count, mean, variance = moments(x, (0, 2), valid)
        self._update(count, mean, variance)
        return mean, variance

    @torch.no_grad()
    def _update(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        self.batches += 1
        weight = (1.0 / self.batches).clamp(min=MOMENTUM)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.mean.lerp_(mean.to(self.mean.dtype), weight)
        self.variance.lerp_(unbiased.to(self.variance.dtype), weight)
