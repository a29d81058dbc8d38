"""PASE, the Problem-Agnostic Speech Encoder (Pascual et al. 2019, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.nouns import count_of
from avaffect.core.streams import WAVEFORM
from avaffect.models.convolution import convolve
from avaffect.models.encoder import Corruption, FrameEncoder, Frames
from avaffect.models.sinc import SincFilters
from avaffect.models.valid_norm import ValidBatchNorm
from avaffect.models.waveform import valid_steps
from avaffect.signal.features import FEATURE_RATE_HZ, HOP, WINDOW, unit_scale, window_count

Layer = tuple[int, int, int]

# Speech is about 5 % of full scale, and a band has a share of it: with this gain the output of the
# first block is far above the epsilon of its norm, also before training.
_GAIN = 100.0


@dataclass(frozen=True)
class PaseConfiguration:
    """filters: number of filters of filter_width samples; blocks: (channels, kernel, stride) of
    each; dim: of a frame.

    Raises ValueError unless the product of the strides is 160 samples.
    """

    filters: int = 64
    filter_width: int = 251
    blocks: tuple[Layer, ...] = (
        (64, 20, 10), (128, 11, 2), (128, 11, 1), (256, 11, 2), (256, 11, 1), (512, 11, 2),
        (512, 11, 2),
    )  # fmt: skip
    dim: int = 100

    def __post_init__(self) -> None:
        together = 1
        for _, _, stride in self.blocks:
            together *= stride
        if together != HOP:
            raise ValueError(
                f"the strides are {count_of(together, 'sample')} together; expected {HOP}"
            )

    @property
    def seen(self) -> int:
        """Receptive field of a frame in samples."""
        samples, step = self.filter_width, 1
        for _, kernel, stride in self.blocks:
            samples += (kernel - 1) * step
            step *= stride
        return samples


PRESETS: dict[str, PaseConfiguration] = {
    "nano": PaseConfiguration(
        filters=32,
        blocks=((32, 20, 10), (32, 5, 2), (64, 5, 1), (64, 5, 2), (96, 5, 1), (96, 5, 2),
                (128, 5, 2)),
    ),
    "base": PaseConfiguration(),
}  # fmt: skip


class PaseEncoder(FrameEncoder):
    """Frames at 100 Hz from 16 kHz waveforms: learned band-pass filters, seven blocks of strided
    convolution, batch norm and PReLU, a projection and a batch norm without parameters.

    There are 1 + (S - 400) // 160 frames, at the windows of 25 ms of other front-ends; the
    receptive field of a frame is 148 ms, with silence around the utterance. `features` are the
    outputs of the blocks, `contextualise` is the projection.

    The filters and the first block's convolution are one linear filter, which is computed once a
    batch, so that no band is computed at 16 kHz.
    """

    streams = (WAVEFORM,)
    rate_hz = FEATURE_RATE_HZ
    depth = 1

    def __init__(self, configuration: PaseConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.dim = c.dim
        self.feature_dim = c.blocks[-1][0]
        self.filters = SincFilters(c.filters, c.filter_width)
        self.convolutions = nn.ParameterList()
        inputs = c.filters
        for channels, kernel, _ in c.blocks:
            self.convolutions.append(torch.empty(channels, inputs, kernel))
            nn.init.kaiming_normal_(self.convolutions[-1], a=0.25)
            inputs = channels
        self.norms = nn.ModuleList(ValidBatchNorm(channels) for channels, _, _ in c.blocks)
        self.activations = nn.ModuleList(nn.PReLU(channels) for channels, _, _ in c.blocks)
        self.projection = nn.Linear(self.feature_dim, c.dim, bias=False)
        self.norm = ValidBatchNorm(c.dim, affine=False)

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["waveform"] (B,) samples"""
        return window_count(lengths[WAVEFORM])

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, feature_dim) of the last block from batch.streams["waveform"] (B, S) int16, or
        float with full scale at 1.0."""
        if corruption is not None:
            raise ValueError("this encoder has no mask embedding for its inputs")
        lengths = batch.lengths[WAVEFORM]
        frames = self.frame_count(batch.lengths)
        waveform = unit_scale(batch.streams[WAVEFORM])
        waveform = waveform * valid_steps(lengths, waveform.shape[1])
        around = self.configuration.seen - WINDOW
        # A batch of fragments has one (padded) frame.
        missing = max(0, WINDOW - waveform.shape[1])
        x = F.pad(waveform, (around // 2, around - around // 2 + missing))[:, None] * _GAIN
        # Samples beyond an utterance and its silence do not affect its frames.
        steps = torch.where(frames > 0, lengths + around, 0)
        weights = [self.first_filter(), *self.convolutions[1:]]
        for weight, norm, activation, (_, _, stride) in zip(
            weights, self.norms, self.activations, self.configuration.blocks
        ):
            x = convolve(x, weight, stride=stride)
            kernel = weight.shape[2]
            steps = torch.div(steps - kernel, stride, rounding_mode="floor").add(1).clamp(min=0)
            x = activation(norm(x, steps))
        found = Frames(x.transpose(1, 2).float(), frames)
        return Frames(found.values * found.valid[..., None], frames)

    def first_filter(self) -> Tensor:
        """(channels, 1, filter_width + kernel - 1): the filters, then the first convolution."""
        with torch.autocast(self.projection.weight.device.type, enabled=False):
            return F.conv_transpose1d(self.convolutions[0], self.filters()[:, None])

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """(B, T, dim); of layer 1, the only one, without the norm.

        Raises UsageError past it, ValueError for a mask, as there is no embedding.
        """
        if mask is not None:
            raise ValueError("this encoder has no mask embedding for frames")
        self.check_layer(layer)
        x = self.projection(features.values)
        if layer is None:
            x = self.norm(x.transpose(1, 2), features.lengths).transpose(1, 2)
        return Frames(x.float() * features.valid[..., None], features.lengths)

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        return self.contextualise(self.features(batch), layer=layer)
