"""torch's batch norm, with statistics of the whole batch where ranks share it.

torch.nn.SyncBatchNorm is for GPUs alone. Without other ranks these are torch's own modules.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.signal import ranks


def moments(
    x: Tensor, dims: tuple[int, ...], valid: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """x (..., C, ...) -> number of values of a channel in all ranks, their mean and variance (C,).

    dims: of x that are not the channels; valid: bool, of x's shape or broadcast to it, None: all.
    """
    size = x.shape[next(d for d in range(x.ndim) if d not in dims)]
    shape = [1 if d in dims else -1 for d in range(x.ndim)]
    if valid is None:
        count = x.new_tensor(x.numel() / size, dtype=torch.float64)
    else:
        count = valid.expand(x.shape).sum(dtype=torch.float64) / size
        x = x * valid
    mean = x.sum(dims) / count.clamp(min=1).to(x.dtype)
    apart = x - mean.view(shape)
    squares = (apart if valid is None else apart * valid).square().sum(dims)
    if ranks.part() is not None:
        count, mean, squares = _of_all(count, mean, squares)
    return count, mean, squares / count.clamp(min=1).to(x.dtype)


def _of_all(count: Tensor, mean: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, means and sums of squared differences from them, of this rank -> of all (Chan et al.
    1983)."""
    each = ranks.each(torch.cat([count[None], mean.double(), squares.double()]))
    counts, means, found = each.split([1, len(mean), len(mean)], dim=1)
    total = counts.sum()
    middle = (counts * means).sum(0) / total.clamp(min=1)
    found = found + counts * (means - middle).square()
    return total, middle.to(mean.dtype), found.sum(0).to(mean.dtype)


class _Shared(nn.modules.batchnorm._BatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        if ranks.part() is None or not self.training:
            return super().forward(x)
        dims = tuple(d for d in range(x.ndim) if d != 1)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count, mean, variance = moments(wide, dims)
        self._update(count, mean.detach(), variance.detach())
        shape = [1 if d in dims else -1 for d in range(x.ndim)]
        scale = (variance + self.eps).rsqrt()
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return torch.addcmul(shift.view(shape), wide, scale.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _update(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """The running statistics; a batch of nothing changes none."""
        if not self.track_running_stats or int(count) == 0:
            return
        assert self.momentum is not None and self.num_batches_tracked is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked += 1
        unbiased = variance * (count / (count - 1).clamp(min=1)).to(variance.dtype)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


class BatchNorm1d(_Shared, nn.BatchNorm1d):
    """(B, C)"""


class BatchNorm2d(_Shared, nn.BatchNorm2d):
    """(N, C, H, W)"""
