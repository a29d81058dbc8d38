"""Generator of a talking face: from one still and an audio encoder's frames to pictures (Shukla et
al. 2021, section 3).

Three parts: an identity encoder of the still, coherent noise, and a decoder with skip connections
from the identity encoder (a U-Net). Pictures are (N, C, H, W) between -1 and 1, twice as high as
wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.batch_norm import BatchNorm2d
from avaffect.models.encoder import Frames
from avaffect.models.gated_recurrent import GatedRecurrent
from avaffect.signal import ranks


@dataclass(frozen=True)
class TalkingFaceConfiguration:
    """speech_dim  size of the audio frames that drive the face
    height      of a picture, twice its width: 4 times a power of two
    channels    of a picture: 1 grey, 3 RGB
    width       channels after the first convolution; each further one has twice as many
    identity    size of the code of the still
    noise       size of the noise; noise_deviation: its standard deviation before the GRU (the
                paper's variance of 0.33), 0 for none
    """

    speech_dim: int = 512
    height: int = 128
    channels: int = 3
    width: int = 64
    identity: int = 64
    noise: int = 10
    noise_deviation: float = 0.574

    @property
    def stages(self) -> int:
        """Number of halvings from the picture to 4 x 2; ValueError if the height does not fit."""
        stages = (self.height // 4).bit_length() - 1
        if stages < 1 or 4 << stages != self.height:
            raise ValueError(f"height {self.height}: expected 8, 16, 32, 64, 128, …")
        return stages


class IdentityEncoder(nn.Module):
    """Convolutions that halve the still down to 4 x 2, and one that gives the code.

    64 x 128 pixels: 64, 128, 256, 512 and 1024 channels, then a code of size 64.
    """

    def __init__(self, configuration: TalkingFaceConfiguration) -> None:
        super().__init__()
        c = configuration
        sizes = [c.channels, *(c.width << stage for stage in range(c.stages))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), BatchNorm2d(outputs), nn.ReLU()
            )
            for inputs, outputs in pairwise(sizes)
        )
        self.code = nn.Conv2d(sizes[-1], c.identity, (4, 2))

    def forward(self, still: Tensor) -> tuple[Tensor, list[Tensor]]:
        """still (N, C, H, W) -> code (N, identity), and the outputs of the blocks, largest
        first."""
        found = []
        x = still
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return torch.tanh(self.code(x)).flatten(1), found


class CoherentNoise(nn.Module):
    """Gaussian noise through a GRU, so that it is correlated over time (for blinks, for
    example)."""

    def __init__(self, dim: int, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation
        self.recurrent = GatedRecurrent(dim, dim)

    def forward(self, clips: int, frames: int, generator: torch.Generator) -> Tensor:
        """(clips, frames, dim), drawn on the CPU; zeros in evaluation mode"""
        device = self.recurrent.weight_ih_l0.device
        assert isinstance(device, torch.device)
        shape = (clips, frames, self.recurrent.input_size)
        if not self.training or self.deviation == 0.0:
            return torch.zeros(shape, device=device)
        drawn = ranks.draw(clips, lambda n: torch.randn(n, *shape[1:], generator=generator))
        drawn = drawn * self.deviation
        return self.recurrent(drawn.to(device))[0]


class FrameDecoder(nn.Module):
    """Transposed convolutions from a code to a picture, with skip connections from the still."""

    def __init__(self, configuration: TalkingFaceConfiguration) -> None:
        super().__init__()
        c = configuration
        deepest = c.width << (c.stages - 1)
        self.start = _upwards(c.speech_dim + c.identity + c.noise, deepest, (4, 2), 1, 0)
        self.blocks = nn.ModuleList()
        for stage in reversed(range(1, c.stages)):
            channels = c.width << stage
            self.blocks.append(
                nn.Sequential(
                    _upwards(2 * channels, channels, 3, 1, 1),
                    _upwards(channels, channels // 2, 4, 2, 1),
                )
            )
        self.picture = nn.ConvTranspose2d(c.width, c.channels, 4, 2, 1)

    def forward(self, code: Tensor, seen: list[Tensor]) -> Tensor:
        """code (N, speech + identity + noise), seen: from IdentityEncoder -> (N, C, H, W)."""
        x = self.start(code[:, :, None, None])
        for block, skip in zip(self.blocks, reversed(seen[1:]), strict=True):
            x = block(torch.cat([x, skip], dim=1))
        return torch.tanh(self.picture(x))


def _upwards(
    inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int, padding: int
) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=False),
        BatchNorm2d(outputs),
        nn.ReLU(),
    )


class TalkingFace(nn.Module):
    """The whole generator: pictures at chosen times of clips, from stills and audio frames."""

    def __init__(self, configuration: TalkingFaceConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.identity = IdentityEncoder(c)
        self.noise = CoherentNoise(c.noise, c.noise_deviation)
        self.decoder = FrameDecoder(c)

    def forward(
        self, stills: Tensor, speech: Tensor, times: Tensor, generator: torch.Generator
    ) -> Tensor:
        """stills (B, C, H, W), speech (B, T, speech_dim) at the rate of the pictures, times (B, K)
        int64 -> (B, K, C, H, W).

        Only the pictures at `times` are decoded; the noise is drawn for the whole clips.
        """
        clips, count = times.shape
        identity, seen = self.identity(stills)
        noise = self.noise(clips, speech.shape[1], generator)
        driving = torch.cat([speech, noise], dim=2)
        chosen = driving.gather(1, times[..., None].expand(-1, -1, driving.shape[2]))
        rows = torch.arange(clips, device=times.device).repeat_interleave(count)
        code = torch.cat([chosen.flatten(0, 1), identity[rows]], dim=1)
        pictures = self.decoder(code, [level[rows] for level in seen])
        return pictures.view(clips, count, *pictures.shape[1:])


def at_rate(frames: Frames, rate_hz: float, target_hz: float) -> Frames:
    """Audio frames at the lower rate of pictures: for each picture the mean of the frames that
    start during it. Pictures without audio for their whole duration are left out."""
    ratio = rate_hz / target_hz
    lengths = count_at_rate(frames.lengths, rate_hz, target_hz)
    count = ranks.longest(lengths)
    edges = torch.arange(count + 1, device=lengths.device, dtype=torch.float64) * ratio
    edges = torch.ceil(edges - 1e-6).long()
    sums = F.pad(frames.values.double().cumsum(dim=1), (0, 0, 1, 0))
    means = sums[:, edges].diff(dim=1) / edges.diff()[None, :, None]
    found = Frames(means.to(frames.values.dtype), lengths)
    return Frames(found.values * found.valid[..., None], lengths)


def count_at_rate(lengths: Tensor, rate_hz: float, target_hz: float) -> Tensor:
    """(B,) audio frames -> (B,) pictures whose duration they cover: the lengths of `at_rate`."""
    # A rounding error must not remove a picture.
    return torch.floor((lengths.double() + 1e-6) / (rate_hz / target_hz)).long()
