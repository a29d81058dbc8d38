"""Convolution over time that stays right in bfloat16 on the CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_FEW_CHANNELS = 16


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Tensor:
    """F.conv1d, in float32 where fewer than 16 channels enter each group and x is on the CPU.

    There oneDNN's bfloat16 kernel for AMX returns wrong sums without a word (torch 2.13, oneDNN
    3.12: relative error above 1 for 2-12 channels and long kernels; github.com/pytorch/pytorch
    issue 163347). Such convolutions are cheap anyway.
    """
    if x.device.type == "cpu" and weight.shape[1] < _FEW_CHANNELS:
        with torch.autocast("cpu", enabled=False):
            return F.conv1d(x.float(), weight.float(), bias, stride, padding, 1, groups)
    return F.conv1d(x, weight, bias, stride, padding, 1, groups)
