"""Front-ends of audio encoders: from samples to local features at 50 Hz.

Both have a receptive field of 25 ms and give a frame every 20 ms: 1 + (S - 400) // 320 of them.
Features of valid frames do not depend on samples beyond the utterance's end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.convolution import convolve
from avaffect.signal.features import WINDOW, log_mel, window_count

PUBLISHED_CONVOLUTIONS = ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2)
"""(channels, kernel, stride) of each layer, wav2vec 2.0 and HuBERT."""


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """(B,) lengths -> (B, steps) bool."""
    return torch.arange(steps, device=lengths.device)[None] < lengths[:, None]


def normalise_waveform(waveform: Tensor, lengths: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the valid samples of each utterance; padding becomes zero."""
    valid = valid_steps(lengths, waveform.shape[1]).to(waveform.dtype)
    count = lengths.clamp(min=1)[:, None]
    # Double precision, so that padding does not change the result by the order of summation.
    mean = (waveform * valid).sum(1, keepdim=True, dtype=torch.float64) / count
    centred = (waveform - mean.to(waveform.dtype)) * valid
    variance = centred.square().sum(1, keepdim=True, dtype=torch.float64) / count
    return centred * (variance + epsilon).rsqrt().to(waveform.dtype)


class ValidGroupNorm(nn.Module):
    """Group norm with a group for each channel and statistics of valid frames alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, C, T), lengths (B,) -> (B, C, T), always float32."""
        x = x.float()
        valid = valid_steps(lengths, x.shape[2])[:, None].to(x.dtype)
        count = lengths.clamp(min=1)[:, None, None].to(x.dtype)
        centred = x - (x * valid).sum(2, keepdim=True) / count
        variance = (centred.square() * valid).sum(2, keepdim=True) / count
        scale = (variance + 1e-5).rsqrt() * self.weight[:, None]
        return centred * scale + self.bias[:, None]


class WaveformConvolutions(nn.Module):
    """Strided convolutions over samples, each with a GELU.

    norm "group": group norm after the first layer (base models); "layer": layer norm over the
    channels after every layer (large models). Raises ValueError for another.
    """

    def __init__(
        self, layers: tuple[tuple[int, int, int], ...], norm: str, bias: bool = False
    ) -> None:
        super().__init__()
        if norm not in ("group", "layer"):
            raise ValueError(f"conv_norm {norm!r}: expected 'group' or 'layer'")
        self.norm = norm
        self.shapes = [(kernel, stride) for _, kernel, stride in layers]
        self.conv_layers = nn.ModuleList()
        channels = 1
        for index, (width, kernel, stride) in enumerate(layers):
            convolution = nn.Conv1d(channels, width, kernel, stride, bias=bias)
            nn.init.kaiming_normal_(convolution.weight)
            # The names are positions in the published code's Sequential.
            layer = nn.ModuleDict({"0": convolution})
            if norm == "layer":
                layer["2"] = nn.ModuleDict({"1": nn.LayerNorm(width)})
            elif index == 0:
                layer["2"] = ValidGroupNorm(width)
            self.conv_layers.append(layer)
            channels = width
        self.dim = channels

    def frame_count(self, samples: Tensor) -> Tensor:
        """(B,) samples -> (B,) frames"""
        for kernel, stride in self.shapes:
            samples = self._after(samples, kernel, stride)
        return samples

    @staticmethod
    def _after(steps: Tensor, kernel: int, stride: int) -> Tensor:
        return torch.div(steps - kernel, stride, rounding_mode="floor").add(1).clamp(min=0)

    def _minimum(self) -> int:
        """Number of samples of a single frame."""
        samples = 1
        for kernel, stride in reversed(self.shapes):
            samples = (samples - 1) * stride + kernel
        return samples

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """waveform (B, S) float, lengths (B,) samples -> (B, T, dim)"""
        x = F.pad(waveform, (0, max(0, self._minimum() - waveform.shape[1])))[:, None]
        for layer, (kernel, stride) in zip(self.conv_layers, self.shapes):
            assert isinstance(layer, nn.ModuleDict)
            convolution = layer["0"]
            assert isinstance(convolution, nn.Conv1d)
            x = convolve(x, convolution.weight, convolution.bias, stride)
            lengths = self._after(lengths, kernel, stride)
            if "2" in layer and self.norm == "group":
                x = layer["2"](x, lengths)
            elif "2" in layer:
                norm = layer["2"]
                assert isinstance(norm, nn.ModuleDict)
                x = norm["1"](x.transpose(1, 2)).transpose(1, 2)
            x = F.gelu(x)
        return x.transpose(1, 2)


def standardised_log_mel(waveform: Tensor, lengths: Tensor, bands: int = 80) -> Tensor:
    """waveform (B, S), lengths (B,) samples -> (B, windows, bands), each utterance standardised to
    mean 0 and variance 1 over all its valid windows and bands; zero in padding."""
    # At least one window: a batch of fragments has one (padded) frame.
    waveform = F.pad(waveform, (0, max(0, WINDOW - waveform.shape[1])))
    with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
        spectrum = log_mel(waveform, bands)
        windows = window_count(lengths)
        valid = valid_steps(windows, spectrum.shape[1])[..., None].float()
        count = (windows.clamp(min=1) * bands)[:, None, None]
        # Double precision, so that padding does not change the result by the order of summation.
        mean = spectrum.mul(valid).sum((1, 2), keepdim=True, dtype=torch.float64) / count
        centred = (spectrum - mean.float()) * valid
        power = centred.square().sum((1, 2), keepdim=True, dtype=torch.float64) / count
        # A constant spectrum (silence) stays zero.
        return centred / power.sqrt().float().clamp(min=1e-3)


class LogMelConvolution(nn.Module):
    """80 log-mel bands at 100 Hz and one strided convolution, for training on minutes of speech.

    Learned filters need hours of speech; a small model uses its capacity better on a fixed spectrum
    (as AV-HuBERT does with its filterbank). The spectrum is standardised by one mean and deviation
    for each utterance, which removes the recording's gain and keeps spectral tilt and the course of
    loudness.
    """

    def __init__(self, dim: int, bands: int = 80) -> None:
        super().__init__()
        self.bands = bands
        self.dim = dim
        self.conv = nn.Conv1d(bands, dim, kernel_size=3, stride=2, padding=1)

    def frame_count(self, samples: Tensor) -> Tensor:
        """(B,) samples -> (B,) frames"""
        return torch.div(window_count(samples) + 1, 2, rounding_mode="floor")

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """waveform (B, S) float, lengths (B,) samples -> (B, T, dim)"""
        spectrum = standardised_log_mel(waveform, lengths, self.bands)
        return F.gelu(self.conv(spectrum.transpose(1, 2))).transpose(1, 2)
