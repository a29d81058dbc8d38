"""Prosody: pitch, voicing, energy and zero crossings of 16 kHz waveforms.

One row for each window of 25 ms every 10 ms, as in `avaffect.signal.features`. Pitch is that of
Boersma (1993): the highest peak of the autocorrelation of a window, divided by that of the window
function, with a small cost for low pitches. All utterances of a batch are processed at once;
padding has no effect.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.signal.features import HOP, WINDOW, int16_scale, unit_scale, window_count

PROSODY = ("log_f0", "voicing", "log_energy", "zero_crossings")
LOWEST_HZ, HIGHEST_HZ = 75.0, 600.0
VOICED = 0.45
"""Least voicing of a frame with pitch."""

# Three periods of the lowest pitch; the FFT is long enough for the longest lag.
_SPAN = 640
_FFT = 1024
# Cost per octave. In noise, a cost of 0.01 selected the double period in 15 % of frames, 0.05 in
# none.
_OCTAVE_COST = 0.05
# Share of an utterance's largest sample: quieter frames are silence, in which hum would be voiced.
_SILENCE = 0.03
_SMOOTHED = 5
_MIDDLE = (LOWEST_HZ * HIGHEST_HZ) ** 0.5


def prosody(waveform: Tensor, lengths: Tensor) -> Tensor:
    """waveform (B, S), lengths (B,) samples -> (B, T, 4) float32, T windows of the longest.

    log_f0          natural logarithm of the pitch in Hz, see `pitch`
    voicing         periodicity of a frame, 0 to 1
    log_energy      logarithm of the mean square of 16-bit samples, floored at 1: silence is 0
    zero_crossings  share of adjacent samples on different sides of the window's mean
    Rows past an utterance's last window are undefined.
    """
    log_f0, voicing = pitch(waveform, lengths)
    frames = int16_scale(_only_valid(waveform, lengths)).unfold(1, WINDOW, HOP)
    energy = frames.square().mean(dim=2).clamp(min=1.0).log()
    above = frames >= frames.mean(dim=2, keepdim=True)
    crossings = (above[..., 1:] != above[..., :-1]).float().mean(dim=2)
    return torch.stack([log_f0, voicing, energy, crossings], dim=2)


def pitch(waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """waveform (B, S), lengths (B,) -> natural logarithm of the pitch in Hz, and voicing, (B, T).

    The logarithm is interpolated linearly between voiced frames and constant before the first and
    after the last; a median over 5 frames removes octave errors. Without voiced frames it is that
    of 212 Hz, the middle of the range (75 to 600 Hz).
    """
    waveform = _only_valid(waveform, lengths)
    margin = (_SPAN - WINDOW) // 2
    frames = F.pad(waveform, (margin, margin)).unfold(1, _SPAN, HOP)
    hertz, voicing = _strongest_period(frames)
    quiet = _SILENCE * waveform.abs().amax(dim=1, keepdim=True)
    middle = frames[..., margin : margin + WINDOW]
    voicing = torch.where(middle.abs().amax(dim=2) > quiet, voicing, 0.0)
    windows = window_count(lengths)
    steps = torch.arange(frames.shape[1], device=waveform.device)
    voiced = (voicing >= VOICED) & (steps < windows[:, None])
    return _median(_interpolate(hertz.log(), voiced), windows), voicing


def _only_valid(waveform: Tensor, lengths: Tensor) -> Tensor:
    """(B, S') float32 with full scale at 1.0, zero past each end, at least one window long."""
    waveform = F.pad(unit_scale(waveform), (0, max(0, WINDOW - waveform.shape[1])))
    steps = torch.arange(waveform.shape[1], device=waveform.device)
    return waveform * (steps < lengths[:, None])


@lru_cache
def _window() -> tuple[Tensor, Tensor]:
    """A Hann window (640,), and its autocorrelation at each lag of the search, relative to that at
    lag 0."""
    window = torch.hann_window(_SPAN, periodic=False, dtype=torch.float64)
    power = torch.fft.rfft(window, n=_FFT).abs().square()
    correlation = torch.fft.irfft(power, n=_FFT)[: _longest_lag() + 2]
    return window.float(), (correlation / correlation[0]).float()


def _longest_lag() -> int:
    return int(SAMPLE_RATE_HZ / LOWEST_HZ)


def _strongest_period(frames: Tensor) -> tuple[Tensor, Tensor]:
    """frames (..., 640) -> pitch in Hz and voicing (...); without a period the middle of the range
    and 0."""
    window, reference = (t.to(frames.device) for t in _window())
    centred = (frames - frames.mean(dim=-1, keepdim=True)) * window
    spectrum = torch.fft.rfft(centred, n=_FFT)
    power = spectrum.real.square() + spectrum.imag.square()
    correlation = torch.fft.irfft(power, n=_FFT)[..., : _longest_lag() + 2]
    # Rounding noise of 16-bit samples counts as aperiodic.
    floor = _SPAN / 32768.0**2
    found = correlation / (correlation[..., :1] + floor) / reference
    shortest = int(SAMPLE_RATE_HZ / HIGHEST_HZ)
    left, here, right = (
        found[..., shortest - 1 : -2],
        found[..., shortest:-1],
        found[..., shortest + 1 :],
    )
    # The maximum of the parabola through a peak and its neighbours.
    bend = (2 * here - left - right).clamp(min=1e-9)
    shift = 0.5 * (right - left) / bend
    height = here + 0.25 * (right - left) * shift
    lags = torch.arange(shortest, shortest + here.shape[-1], device=frames.device) + shift
    peak = (here > left) & (here >= right)
    score = height - _OCTAVE_COST * (lags.clamp(min=1.0) * LOWEST_HZ / SAMPLE_RATE_HZ).log2()
    best = torch.where(peak, score, -torch.inf).argmax(dim=-1, keepdim=True)
    has_peak = peak.any(dim=-1)
    hertz = SAMPLE_RATE_HZ / lags.gather(-1, best)[..., 0]
    voicing = height.gather(-1, best)[..., 0].clamp(0.0, 1.0)
    return torch.where(has_peak, hertz, _MIDDLE), torch.where(has_peak, voicing, 0.0)


def _interpolate(values: Tensor, known: Tensor) -> Tensor:
    """values (B, T) where known, linear interpolation between, constant before and after; rows
    without known values get the middle of the range."""
    count = values.shape[1]
    steps = torch.arange(count, device=values.device).expand_as(values)
    before = torch.where(known, steps, -1).cummax(dim=1).values
    after = torch.where(known, steps, count).flip(1).cummin(dim=1).values.flip(1)
    before = torch.where(before < 0, after, before)
    after = torch.where(after == count, before, after)
    before, after = before.clamp(0, count - 1), after.clamp(0, count - 1)
    share = (steps - before) / (after - before).clamp(min=1)
    line = torch.lerp(values.gather(1, before), values.gather(1, after), share)
    unknown = torch.tensor(_MIDDLE, device=values.device).log()
    return torch.where(known.any(dim=1, keepdim=True), line, unknown)


def _median(values: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) medians over 5 frames; the ends are repeated."""
    half = _SMOOTHED // 2
    steps = torch.arange(-half, values.shape[1] + half, device=values.device)
    places = torch.minimum(steps[None], (lengths - 1)[:, None]).clamp(min=0)
    return values.gather(1, places).unfold(1, _SMOOTHED, 1).median(dim=2).values
