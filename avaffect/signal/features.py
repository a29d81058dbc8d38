"""Descriptors of speech: MFCC, log filterbanks and log-mel spectra of 16 kHz waveforms.

Conventions of all descriptors: a waveform is int16, or floating point with full scale at 1.0;
windows last 25 ms (400 samples) and start every 10 ms (160 samples), which gives frames at 100 Hz.
A waveform shorter than a window has no frames, except of the log filterbank, which pads the last
window with zeros. Digital silence gives finite numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.signal.audio import torchaudio

WINDOW = 400
HOP = 160
FEATURE_RATE_HZ = SAMPLE_RATE_HZ / HOP

Samples = TypeVar("Samples", int, Tensor)

_FULL_SCALE = 32768.0
_FFT = 512


def unit_scale(waveform: Tensor) -> Tensor:
    """float32 samples with full scale at 1.0; floating-point input must have this scale."""
    if waveform.is_floating_point():
        return waveform.float()
    return waveform.float() / _FULL_SCALE


def int16_scale(waveform: Tensor) -> Tensor:
    """float32 samples with full scale at 32768, as in 16-bit files."""
    return unit_scale(waveform) * _FULL_SCALE


def window_count(samples: Samples) -> Samples:
    """Number of whole windows in a waveform: the frames of `mfcc` and `log_mel`."""
    if isinstance(samples, int):
        return max(0, (samples - WINDOW) // HOP + 1)
    return torch.div(samples - WINDOW, HOP, rounding_mode="floor").add(1).clamp(min=0)


def mfcc(waveform: Tensor) -> Tensor:
    """(S,) samples -> (T, 39): 13 Kaldi MFCC without energy, their deltas and delta-deltas.

    The targets of HuBERT's first iteration (Hsu et al. 2021, section III; Kaldi's window, pre-
    emphasis 0.97, 23 mel bands, 13 cepstra, lifter 22; deltas over 5 frames, edges repeated).
    """
    if waveform.shape[-1] < WINDOW:
        return torch.zeros(0, 39, device=waveform.device)
    cepstra = torchaudio.compliance.kaldi.mfcc(
        unit_scale(waveform)[None], sample_frequency=SAMPLE_RATE_HZ, use_energy=False
    ).T
    deltas = torchaudio.functional.compute_deltas(cepstra)
    return torch.cat([cepstra, deltas, torchaudio.functional.compute_deltas(deltas)]).T


def log_mel(waveform: Tensor, bands: int = 80) -> Tensor:
    """(..., S) samples -> (..., T, bands): logarithm of the mel power spectrum.

    Hann window, 512-point spectrum, triangular filters from 0 to 8 kHz on the HTK mel scale. Power
    is that of 16-bit samples, floored at 1, so that digital silence is exactly 0 and no value is
    negative.
    """
    if waveform.shape[-1] < WINDOW:
        return torch.zeros(*waveform.shape[:-1], 0, bands, device=waveform.device)
    window = torch.hann_window(WINDOW, device=waveform.device)
    frames = int16_scale(waveform).unfold(-1, WINDOW, HOP) * window
    return (power(frames) @ _mel_filters(bands).to(waveform.device)).clamp(min=1.0).log()


def log_filterbank(waveform: Tensor, bands: int = 26) -> Tensor:
    """(..., S) samples -> (..., T, bands): AV-HuBERT's log filterbank energies, float32.

    Pre-emphasis 0.97 over the whole signal, rectangular windows, 512-point spectrum divided by 512,
    triangular filters between whole bins of the HTK mel scale. The signal is padded with zeros to
    fill its last window: T = 1 + ceil((S - 400) / 160), at least 1 for any sample. Zero energy
    becomes the smallest double step, 2.2e-16, before the logarithm.
    """
    samples = waveform.shape[-1]
    if samples == 0:
        return torch.zeros(*waveform.shape[:-1], 0, bands, device=waveform.device)
    # Double precision: low energies are differences of large numbers.
    signal = int16_scale(waveform).double()
    signal = torch.cat([signal[..., :1], signal[..., 1:] - 0.97 * signal[..., :-1]], dim=-1)
    count = 1 + max(0, -((WINDOW - samples) // HOP))
    signal = F.pad(signal, (0, WINDOW + (count - 1) * HOP - samples))
    found = power(signal.unfold(-1, WINDOW, HOP)) / _FFT
    energies = found @ _whole_bin_filters(bands).to(found)
    floor = torch.finfo(torch.float64).eps
    return torch.where(energies > 0, energies, floor).log().float()


def kaldi_filterbank(waveform: Tensor, bands: int = 128) -> Tensor:
    """(S,) samples -> (T, bands): Kaldi's log mel filterbank without energy or dither, of the
    waveform less its mean: Hann windows, pre-emphasis 0.97 (CAV-MAE, Gong et al. 2023).

    Digital silence gives -15.9 (the logarithm of float32's smallest step).
    """
    if waveform.shape[-1] < WINDOW:
        return torch.zeros(0, bands, device=waveform.device)
    samples = unit_scale(waveform)
    # Half precision holds neither the power of quiet windows nor that of loud ones.
    with torch.autocast(waveform.device.type, enabled=False):
        return torchaudio.compliance.kaldi.fbank(
            (samples - samples.mean())[None], htk_compat=True, sample_frequency=SAMPLE_RATE_HZ,
            use_energy=False, window_type="hanning", num_mel_bins=bands, dither=0.0, frame_shift=10,
        )  # fmt: skip


def stack_frames(features: Tensor, count: int = 4) -> Tensor:
    """(..., T, D) -> (..., ceil(T / count), count * D): adjacent frames joined, padded with 0."""
    features = F.pad(features, (0, 0, 0, -features.shape[-2] % count))
    return features.reshape(
        *features.shape[:-2], features.shape[-2] // count, count * features.shape[-1]
    )


def normalise_frames(features: Tensor) -> Tensor:
    """(..., D) -> (..., D): mean 0 and variance 1 within each frame (layer norm without affine)."""
    return F.layer_norm(features, features.shape[-1:])


def power(windows: Tensor, size: int = _FFT) -> Tensor:
    """(..., W) -> (..., size // 2 + 1): squared magnitude of the spectrum of `size` points."""
    # Of an export as well.
    if torch.compiler.is_compiling():
        return _exact_power(windows, size)
    spectrum = torch.fft.rfft(windows, n=size)
    # abs() would guard against overflow of the square, at several times the cost of all the rest.
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)


def _exact_power(windows: Tensor, size: int) -> Tensor:
    """The same as a product of matrices in double precision, for programs that run a graph of ONNX:
    their transforms are less exact, and the logarithm of quiet bands shows it."""
    cosines, sines = _waves(windows.shape[-1], size)
    exact = windows.double()
    found = (exact @ cosines).square() + (exact @ sines).square()
    return found.to(windows.dtype)


def _waves(width: int, size: int) -> tuple[Tensor, Tensor]:
    """(width, size // 2 + 1) cosines and sines of the transform, float64: constants of a graph."""
    steps = torch.arange(width, dtype=torch.float64)[:, None]
    angles = 2 * torch.pi / size * (steps * torch.arange(size // 2 + 1) % size)
    return angles.cos(), angles.sin()


@lru_cache
def _mel_filters(bands: int) -> Tensor:
    return torchaudio.functional.melscale_fbanks(
        _FFT // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, bands, SAMPLE_RATE_HZ
    )


@lru_cache
def _whole_bin_filters(bands: int) -> Tensor:
    """(257, bands) float64 triangles whose corners are rounded down to whole bins."""
    highest = 2595.0 * torch.log10(
        torch.tensor(1 + SAMPLE_RATE_HZ / 2 / 700.0, dtype=torch.float64)
    )
    mel = torch.linspace(0.0, float(highest), bands + 2, dtype=torch.float64)
    hertz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    corner = torch.floor((_FFT + 1) * hertz / SAMPLE_RATE_HZ)
    left, centre, right = corner[:-2], corner[1:-1], corner[2:]
    bins = torch.arange(_FFT // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return torch.where(
        (bins >= left) & (bins < centre),
        rising,
        torch.where((bins >= centre) & (bins < right), falling, 0.0),
    )
