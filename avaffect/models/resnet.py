"""ResNet-18 over video: a stem with kernels over five pictures, then each frame by itself.

He et al. 2016 with the stem of Stafylakis and Tzimiropoulos 2017, as in AV-HuBERT, under its
parameter names. The input is the pictures of utterances, one after the other, without padding.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.batch_norm import BatchNorm2d
from avaffect.models.convolution import StridedPointwise
from avaffect.signal import ranks

STEM_FRAMES = 5
"""Temporal kernel of the stem in pictures: the frame's own, two before and two after it."""


def clip_windows(valid: Tensor, source: Tensor | None = None) -> Tensor:
    """The pictures in the stem's kernel for each frame.

    valid (B, T) bool: the frames with a picture; `pictures[valid]` packs them in that order.
    source (B, T) int64: the frame of the same clip whose picture is used at each place, -1 for a
    blank one; by default its own. -> (N, 5) int64 indices of the packed pictures, -1 for blank.
    """
    places = torch.where(valid, valid.flatten().cumsum(0).view(valid.shape) - 1, -1)
    if source is not None:
        chosen = places.gather(1, source.clamp(min=0))
        places = torch.where(valid & (source >= 0), chosen, -1)
    if valid.shape[1] == 0:
        return places.new_zeros(0, STEM_FRAMES)
    margin = STEM_FRAMES // 2
    return F.pad(places, (margin, margin), value=-1).unfold(1, STEM_FRAMES, 1)[valid]


def _activation(kind: str, channels: int) -> nn.Module:
    if kind == "prelu":
        return nn.PReLU(channels)
    if kind == "relu":
        return nn.ReLU()
    raise ValueError(f"activation {kind!r}: expected 'prelu' or 'relu'")


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.relu1 = _activation(activation, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.relu2 = _activation(activation, outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                StridedPointwise(inputs, outputs, stride), BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + (x if self.downsample is None else self.downsample(x)))


class VideoResNet18(nn.Module):
    """From pictures of any size, grey (1 channel) or RGB (3), to frames of size 8 * width.

    width       channels of the stem and the first layer; 64 is the published ResNet-18
    activation  "prelu" with a slope for each channel, or "relu"
    """

    def __init__(self, width: int = 64, channels: int = 1, activation: str = "prelu") -> None:
        super().__init__()
        self.dim = 8 * width
        # The pooling of the published 3-D stem does not span frames: 2-D pooling is the same.
        self.frontend3D = nn.Sequential(
            nn.Conv3d(channels, width, (STEM_FRAMES, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            BatchNorm2d(width),
            _activation(activation, width),
            nn.MaxPool2d(3, 2, 1),
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = width
        for index in range(4):
            outputs = width * 2**index
            layers[f"layer{index + 1}"] = nn.Sequential(
                BasicBlock(inputs, outputs, 1 if index == 0 else 2, activation),
                BasicBlock(outputs, outputs, 1, activation),
            )
            inputs = outputs
        self.trunk = nn.Sequential(layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))

    def parts(self) -> dict[str, nn.Module]:
        """stem: the convolution over time and space with its norm; trunk: the rest."""
        return {"stem": self.frontend3D, "trunk": self.trunk}

    def forward(self, pictures: Tensor, windows: Tensor) -> Tensor:
        """pictures (P, C, H, W) standardised, windows (N, 5) as from `clip_windows` -> (N, dim)

        N may be 0 where other ranks have frames, and nowhere else.
        """
        if len(windows) == 0:
            # Batch norm is of all ranks together.
            with ranks.uncounted():
                return self(pictures, windows.new_full((1, STEM_FRAMES), -1))[:0]
        convolution, *rest = self.frontend3D
        assert isinstance(convolution, nn.Conv3d)
        # The convolution over time as a 2-D one over the channels of five pictures: there is no
        # padding, and at width 64 it takes half the time of the 3-D kernel on a CPU. -1: blank.
        blank = pictures.new_zeros(1, *pictures.shape[1:])
        x = torch.cat([pictures, blank])[windows].flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
        weight = convolution.weight.transpose(1, 2).flatten(1, 2)
        x = F.conv2d(x, weight, None, convolution.stride[1:], convolution.padding[1:])
        for module in rest:
            x = module(x)
        return self.trunk(x).mean((2, 3))
