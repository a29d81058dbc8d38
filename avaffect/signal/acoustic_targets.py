"""Acoustic targets of PASE: spectra, cepstra, prosody (Pascual et al. 2019).

Computed for whole batches at 100 Hz, one row for each window of 25 ms every 10 ms, with the
conventions of `avaffect.signal.features` on scale and silence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.signal.features import (
    HOP,
    WINDOW,
    int16_scale,
    log_mel,
    mfcc,
    unit_scale,
    window_count,
)
from avaffect.signal.prosody import PROSODY, prosody

_FFT = 512

SIZES = {"lps": _FFT // 2 + 1, "mfcc": 39, "fbank": 40, "prosody": len(PROSODY)}
"""Name -> values a row."""


@torch.no_grad()
def acoustic_targets(
    waveform: Tensor, lengths: Tensor, names: Sequence[str] = tuple(SIZES)
) -> dict[str, Tensor]:
    """waveform (B, S), lengths (B,) samples -> name -> (B, T, size) float32, T windows of the
    longest; zero past an utterance's last window.

    lps      logarithm of the power spectrum, floored at 1 for 16-bit samples (512 points, not the
             2,048 of Pascual et al.: windows of 25 ms resolve no more)
    mfcc     `features.mfcc`: 13 Kaldi MFCC, their deltas and delta-deltas
    fbank    `features.log_mel` with 40 bands
    prosody  `prosody.prosody`

    Raises ValueError for another name.
    """
    unknown = set(names) - SIZES.keys()
    if unknown:
        raise ValueError(
            f"unknown acoustic targets: {', '.join(sorted(unknown))} (known: {', '.join(SIZES)})"
        )
    with torch.autocast(waveform.device.type, enabled=False):
        waveform = F.pad(unit_scale(waveform), (0, max(0, WINDOW - waveform.shape[1])))
        windows = window_count(lengths)
        compute = {
            "lps": lambda: log_power_spectrum(waveform),
            "mfcc": lambda: _cepstra(waveform, lengths),
            "fbank": lambda: log_mel(waveform, SIZES["fbank"]),
            "prosody": lambda: prosody(waveform, lengths),
        }
        steps = torch.arange(window_count(waveform.shape[1]), device=waveform.device)
        valid = (steps < windows[:, None])[..., None]
        return {name: compute[name]().masked_fill(~valid, 0.0) for name in names}


def log_power_spectrum(waveform: Tensor) -> Tensor:
    """(..., S) samples, at least one window -> (..., T, 257), Hann window; silence is 0."""
    window = torch.hann_window(WINDOW, device=waveform.device)
    spectrum = torch.fft.rfft(int16_scale(waveform).unfold(-1, WINDOW, HOP) * window, n=_FFT)
    power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
    return power.clamp(min=1.0).log()


def _cepstra(waveform: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, 39), one utterance at a time, so that deltas at its end do not use padding."""
    cepstra = [mfcc(wave[:length]) for wave, length in zip(waveform, lengths.tolist())]
    padded = waveform.new_zeros(len(cepstra), window_count(waveform.shape[1]), SIZES["mfcc"])
    for row, values in zip(padded, cepstra):
        row[: len(values)] = values
    return padded
