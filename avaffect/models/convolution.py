"""Convolutions for shapes at which the kernels of torch's CPU library give wrong results."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FEW_CHANNELS = 16


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """F.conv1d; in float32 if a group has fewer than 16 input channels and x is on the CPU.

    There oneDNN's bfloat16 kernel for AMX silently returns wrong sums (torch 2.13, oneDNN
    3.12: relative error above 1 for 2-12 channels and long kernels; github.com/pytorch/pytorch
    issue 163347). Such convolutions are cheap anyway.
    """
    if x.device.type == "cpu" and weight.shape[1] < _FEW_CHANNELS:
        with torch.autocast("cpu", enabled=False):
            return F.conv1d(x.float(), weight.float(), bias, stride, padding, 1, groups)
    return F.conv1d(x, weight, bias, stride, padding, 1, groups)


class StridedPointwise(nn.Conv2d):
    """nn.Conv2d of kernel 1 with a stride, under the same parameter names: skipped pixels are
    dropped before a convolution of stride 1.

    On a CPU with AVX2 but without AVX-512, oneDNN's kernel for the weight gradient of a strided
    1 x 1 convolution writes past its buffer for fewer than 8 input channels in channels-last order
    (torch 2.13, `jit_avx2_1x1_convolution_bwd_weights_t`), and corrupts the heap.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))"""
        down, across = self.stride
        return F.conv2d(x[:, :, ::down, ::across], self.weight)
