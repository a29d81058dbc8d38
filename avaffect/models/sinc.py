"""Band-pass filters whose edges are learned (Ravanelli and Bengio 2018, SincNet)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from avaffect.core.streams import SAMPLE_RATE_HZ

LOWEST_HZ, NARROWEST_HZ = 50.0, 50.0


class SincFilters(nn.Module):
    """`count` filters of `width` samples, an odd number, each with two learned edges.

    g[n] = 2 f2 sinc(2 pi f2 n) - 2 f1 sinc(2 pi f1 n) with sinc(x) = sin(x) / x and frequencies as
    shares of the sampling rate (equation 4), with a Hamming window: 1 in the pass band, 0 far from
    it. A filter starts at 50 Hz or above, is at least 50 Hz wide and ends at most at half the rate.
    The bands of new filters are adjacent on the mel scale; bands narrower than 50 Hz overlap.
    """

    steps: Tensor
    window: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        if width % 2 == 0:
            raise ValueError(f"filters of {width} samples: the width must be odd")
        highest = SAMPLE_RATE_HZ / 2 - NARROWEST_HZ
        mel = torch.linspace(_mel(LOWEST_HZ), _mel(highest), count + 1, dtype=torch.float64)
        edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
        # Not 0, where the magnitude has no gradient, and the edge would not be trained.
        lows = (edges[:-1] - LOWEST_HZ).clamp(min=1.0)
        widths = (edges.diff() - NARROWEST_HZ).clamp(min=1.0)
        # As shares of the sampling rate: a step of Adam is some Hz; in Hz it would be negligible.
        self.low = nn.Parameter((lows / SAMPLE_RATE_HZ).float())
        self.band = nn.Parameter((widths / SAMPLE_RATE_HZ).float())
        steps = torch.arange(width, dtype=torch.float64) - width // 2
        self.register_buffer("steps", steps.float(), persistent=False)
        window = torch.hamming_window(width, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)

    def edges(self) -> tuple[Tensor, Tensor]:
        """f1 and f2 (count,) as shares of the sampling rate."""
        low = (LOWEST_HZ / SAMPLE_RATE_HZ + self.low.abs()).clamp(max=0.5)
        return low, (low + NARROWEST_HZ / SAMPLE_RATE_HZ + self.band.abs()).clamp(max=0.5)

    def forward(self) -> Tensor:
        """(count, width)"""
        low, high = self.edges()
        return (self._low_pass(high) - self._low_pass(low)) * self.window

    def _low_pass(self, edge: Tensor) -> Tensor:
        """2 f sinc(2 pi f n), (count, width)"""
        # torch.sinc(x) is sin(pi x) / (pi x).
        return 2 * edge[:, None] * torch.sinc(2 * edge[:, None] * self.steps)


def _mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)
