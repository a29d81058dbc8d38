"""The log-mel spectrum that Whisper reads (Radford et al. 2023)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.signal.audio import torchaudio
from avaffect.signal.features import HOP, WINDOW, power, unit_scale

_REACH = WINDOW // 2
# Bands below the loudest by more than this, in decades of power, are raised to it.
_RANGE = 8.0


def whisper_log_mel(waveform: Tensor, lengths: Tensor, bands: int = 80) -> Tensor:
    """waveform (B, S), lengths (B,) samples -> (B, S // 160, bands) float32, of row b the first
    lengths[b] // 160 windows, then zeros.

    Window t of 400 samples is centred on sample 160 t. An utterance is mirrored at both of its own
    ends, and its loudest band is its own: padding and batch-mates change nothing.
    """
    with torch.autocast(waveform.device.type, enabled=False):
        windows = _mirrored(unit_scale(waveform), lengths).unfold(-1, WINDOW, HOP)
        windows = windows[:, : waveform.shape[1] // HOP]
        windows = windows * torch.hann_window(WINDOW, device=waveform.device)
        found = power(windows, WINDOW)
        decades = (found @ _filters(bands).to(found.device)).clamp(min=1e-10).log10()
        steps = torch.arange(decades.shape[1], device=lengths.device)
        valid = (steps < torch.div(lengths, HOP, rounding_mode="floor")[:, None])[..., None]
        loudest = decades.masked_fill(~valid, -torch.inf).amax((1, 2), keepdim=True)
        return torch.where(valid, (torch.maximum(decades, loudest - _RANGE) + 4.0) / 4.0, 0.0)


def _mirrored(waveform: Tensor, lengths: Tensor) -> Tensor:
    """(B, S) -> (B, S + 400): 200 samples more on either side of each utterance."""
    last = (lengths - 1).clamp(min=0)[:, None]
    steps = torch.arange(-_REACH, waveform.shape[1] + _REACH, device=waveform.device).abs()
    return waveform.gather(1, (last - (last - steps).abs()).clamp(min=0))


@lru_cache
def _filters(bands: int) -> Tensor:
    """(201, bands) triangles of area 1 between 0 and 8 kHz on Slaney's mel scale."""
    return torchaudio.functional.melscale_fbanks(
        _REACH + 1,
        0.0,
        SAMPLE_RATE_HZ / 2,
        bands,
        SAMPLE_RATE_HZ,
        norm="slaney",
        mel_scale="slaney",
    )
