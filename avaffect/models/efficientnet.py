"""EfficientNet (Tan and Le 2019) over the pictures of a face: each picture gives a frame.

VAVL's visual front-end is the size B2, whose frames have 1,408 numbers.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models.batch_norm import BatchNorm2d
from avaffect.models.encoder import FrameEncoder, Frames
from avaffect.models.waveform import valid_steps
from avaffect.signal.images import resize, to_channels

PADDINGS = ("symmetric", "same", "late")
# Pictures that are computed at a time without gradient, for videos of any length.
_BLOCK = 16
# Of the size B0: kernel, stride, expansion, width and number of blocks of each stage.
_SMALLEST = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip
_STEM, _TOP = 32, 1280
# Widths are multiples of it.
_DIVISOR = 8
# Factors of width and depth of the published sizes.
_SIZES = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8),
    "b5": (1.6, 2.2), "b6": (1.8, 2.6), "b7": (2.0, 3.1),
}  # fmt: skip
# The squeezed vector has a quarter of a block's input channels.
_SQUEEZE = 4

Stage = tuple[int, int, int, int, int]


def rounded_width(channels: int, factor: float) -> int:
    """`channels` times a factor, rounded to a multiple of eight, but not down by more than a
    tenth."""
    wanted = channels * factor
    width = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return width + _DIVISOR if width < 0.9 * wanted else width


def _stages(width: float, depth: float) -> tuple[Stage, ...]:
    return tuple(
        (kernel, stride, expansion, rounded_width(channels, width), math.ceil(depth * blocks))
        for kernel, stride, expansion, channels, blocks in _SMALLEST
    )


@dataclass(frozen=True)
class EfficientNetConfiguration:
    """A whole model; the defaults are those of B2.

    stages      kernel, stride of the first block, expansion, width and number of blocks of each
    stem, top   channels of the first convolution, and of the last: the size of a frame
    channels    3: RGB pictures; 1: grey
    padding     of convolutions of stride 2. "symmetric": half a kernel on all sides (torchvision,
                timm). "same": TensorFlow's, one less at the top and at the left where the side is
                even. "late": one less there for any side, but in `symmetric_blocks` (transformers)
    symmetric_blocks  numbers of blocks, counted from 0 over all stages
    norm_epsilon      of batch norm
    face_size         side in pixels to which stored faces are resized
    face_mean, face_std  of pixel / 255, for each channel: ImageNet's
    rate_hz           faces a second of the stores that it reads; each is a frame
    """

    stages: tuple[tuple[int, int, int, int, int], ...] = _stages(*_SIZES["b2"])
    stem: int = rounded_width(_STEM, _SIZES["b2"][0])
    top: int = rounded_width(_TOP, _SIZES["b2"][0])
    channels: int = 3
    padding: str = "symmetric"
    symmetric_blocks: tuple[int, ...] = ()
    norm_epsilon: float = 1e-5
    face_size: int = 224
    face_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    face_std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rate_hz: float = 25.0


def _published(width: float, depth: float) -> EfficientNetConfiguration:
    return EfficientNetConfiguration(
        _stages(width, depth), rounded_width(_STEM, width), rounded_width(_TOP, width)
    )


PRESETS: dict[str, EfficientNetConfiguration] = {
    "nano": EfficientNetConfiguration(((3, 1, 1, 8, 1), (5, 2, 4, 16, 2)), 8, 32, face_size=32),
    **{name: _published(*factors) for name, factors in _SIZES.items()},
}


class _Normed(nn.Module):
    """A convolution without bias, batch norm, and SiLU where `active`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        epsilon: float,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: str = "symmetric",
        active: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = BatchNorm2d(outputs, epsilon)
        self.kernel, self.stride, self.padding, self.active = kernel, stride, padding, active

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))"""
        half = self.kernel // 2
        before = [half - self._shift(side) for side in x.shape[2:]]
        if before == [half, half]:
            c = self.conv
            x = F.conv2d(x, c.weight, None, c.stride, half, c.dilation, c.groups)
        else:
            x = self.conv(F.pad(x, (before[1], half, before[0], half)))
        x = self.norm(x)
        return F.silu(x, inplace=not torch.is_grad_enabled()) if self.active else x

    def _shift(self, side: int) -> int:
        """What the padding is less at the top or at the left."""
        if self.stride == 1 or self.padding == "symmetric":
            return 0
        return 1 if self.padding == "late" else 1 - side % 2


class _Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): a weight for each channel, of the mean picture."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape"""
        mean = x.mean((2, 3), keepdim=True)
        return x * self.expand(F.silu(self.reduce(mean))).sigmoid()


class _Block(nn.Module):
    """An inverted bottleneck: 1 x 1 to `expansion` times the channels, depthwise, squeeze and
    excitation, 1 x 1 to the stage's width; on its input, unless it is the first of its stage."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
        padding: str,
        first: bool,
        epsilon: float,
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.first = first
        self.expand = _Normed(inputs, inner, epsilon) if expansion > 1 else nn.Identity()
        self.depthwise = _Normed(inner, inner, epsilon, kernel, stride, inner, padding)
        self.squeeze = _Squeeze(inner, max(1, inputs // _SQUEEZE))
        self.project = _Normed(inner, outputs, epsilon, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))"""
        y = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return y if self.first else y + x


class EfficientNet(FrameEncoder):
    """Frames at `rate_hz` of its configuration, each from one face.

    Stored faces are resized to `face_size`; grey ones become RGB of three equal channels. In
    training batch norm makes a frame depend on the other pictures of the batch.
    """

    streams = (FACE,)
    reach = 0

    def __init__(self, configuration: EfficientNetConfiguration) -> None:
        super().__init__()
        c = configuration
        _check(c)
        self.configuration = c
        self.rate_hz, self.dim = c.rate_hz, c.top
        self.face_size, self.face_channels = c.face_size, c.channels
        self.stem = _Normed(c.channels, c.stem, c.norm_epsilon, 3, 2, padding=c.padding)
        self.stages = nn.ModuleList()
        inputs, number = c.stem, 0
        for kernel, stride, expansion, width, blocks in c.stages:
            stage = nn.Sequential()
            for place in range(blocks):
                padding = "symmetric" if number in c.symmetric_blocks else c.padding
                stage.append(
                    _Block(
                        inputs, width, kernel, 1 if place else stride, expansion, padding,
                        place == 0, c.norm_epsilon,
                    )
                )  # fmt: skip
                inputs, number = width, number + 1
            self.stages.append(stage)
        self.top = _Normed(inputs, c.top, c.norm_epsilon)
        self.register_buffer("face_mean", torch.tensor(c.face_mean), persistent=False)
        self.register_buffer("face_std", torch.tensor(c.face_std), persistent=False)
        self.face_mean: Tensor
        self.face_std: Tensor
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))

    def parts(self) -> dict[str, nn.Module]:
        """stem, stage1, stage2, … and top."""
        found: OrderedDict[str, nn.Module] = OrderedDict(stem=self.stem)
        for number, stage in enumerate(self.stages, start=1):
            found[f"stage{number}"] = stage
        found["top"] = self.top
        return found

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["face"] (B,) pictures"""
        return lengths[FACE]

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """(B, T, dim) from batch.streams["face"] (B, T, H, W, C) uint8, or float on the same scale.

        Raises UsageError for a layer, of which there are none to choose from, and for faces at
        another rate.
        """
        self.check_face_rate(batch)
        lengths, faces = batch.lengths[FACE], batch.streams[FACE]
        valid = valid_steps(lengths, faces.shape[1])
        rows, steps = valid.nonzero(as_tuple=True)
        # All at once with a gradient, and never no picture: of none there is still a size.
        block = max(1, len(rows) if torch.is_grad_enabled() else _BLOCK)
        frames = torch.cat(
            [
                self._see(faces[some, when])
                for some, when in zip(rows.split(block), steps.split(block))
            ]
        )
        values = frames.new_zeros(*valid.shape, self.dim)
        values[valid] = frames
        return Frames(values, lengths)

    def _see(self, faces: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, dim)"""
        if not len(faces):
            return self.face_mean.new_zeros(0, self.dim)
        c = self.configuration
        pictures = resize(to_channels(faces, c.channels), c.face_size)
        pictures = (pictures.float() / 255.0 - self.face_mean) / self.face_std
        # The channels of a pixel lie side by side already: "channels last" costs no copy.
        x = self.stem(pictures.permute(0, 3, 1, 2))
        for stage in (*self.stages, self.top):
            x = stage(x)
        found = x.mean((2, 3))
        # An autocast network gives half precision.
        return found.to(torch.promote_types(found.dtype, torch.float32))


def _check(c: EfficientNetConfiguration) -> None:
    """Raises ValueError for what no EfficientNet has."""
    if c.padding not in PADDINGS:
        raise ValueError(f"padding {c.padding!r}: expected {', '.join(PADDINGS)}")
    if c.channels not in (1, 3):
        raise ValueError(f"channels {c.channels}: pictures have 3 (RGB) or 1 (grey)")
    if not c.channels == len(c.face_mean) == len(c.face_std):
        raise ValueError(f"face_mean and face_std must have {c.channels} numbers each")
    if not c.stages or any(
        kernel % 2 == 0 or stride not in (1, 2) or min(kernel, expansion, width, blocks) < 1
        for kernel, stride, expansion, width, blocks in c.stages
    ):
        raise ValueError(
            f"stages {c.stages}: each has an odd kernel, a stride of 1 or 2, an expansion, a width "
            "and a number of blocks"
        )
