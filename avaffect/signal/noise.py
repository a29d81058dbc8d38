"""Adding noise to speech at a given signal-to-noise ratio: arithmetic on arrays, no torch.

Samples are floating point with full scale at 1.0, unless stated that they may be int16.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Samples of the crossfade where a short recording is repeated: 20 ms at 16 kHz.
FADE = 320
# The largest 16-bit sample: sums that would clip are scaled down to it.
LARGEST = 1.0 - 2.0**-15
_BLOCK = 1 << 16


def unit_scale(samples: np.ndarray) -> np.ndarray:
    """float32 samples with full scale at 1.0; floating-point input must have this scale."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    return samples.astype(np.float32) / 32768


def as_type(samples: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Samples within full scale as `dtype`: int16, rounded, or floating point."""
    if dtype.kind == "f":
        return samples.astype(dtype, copy=False)
    return np.rint(samples * 32768).astype(dtype)


def power(samples: np.ndarray) -> float:
    """Mean square of (S,) samples; 0 without samples."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """(S,) speech plus (S,) noise, scaled so that 10 log10(power of speech / of noise) = snr_db.

    The powers are those of the whole arrays. Raises ValueError if one of them is 0.
    """
    signal, disturbance = power(speech), power(noise)
    if not (signal > 0 and disturbance > 0 and len(speech) == len(noise)):
        raise ValueError("speech and noise must have equal length and power above 0")
    gain = np.sqrt(signal / disturbance * 10.0 ** (-snr_db / 10.0))
    return speech + np.asarray(gain, dtype=speech.dtype) * noise


def babble(voices: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of arrays (S,), each scaled to a power of 1; silent arrays add nothing."""
    total = np.zeros_like(voices[0])
    for voice in voices:
        loudness = power(voice)
        if loudness > 0:
            total += voice / np.asarray(np.sqrt(loudness), dtype=total.dtype)
    return total


def fitted(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """Samples scaled down just enough not to clip, and the factor: 1 if they do not clip."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak <= LARGEST:
        return samples, 1.0
    factor = LARGEST / peak
    return samples * np.asarray(factor, dtype=samples.dtype), factor


def piece(noise: np.ndarray, length: int, place: float, quiet: float = 0.0) -> np.ndarray | None:
    """`length` float32 samples of a recording (L,), int16 or floating point, possibly a memory map.

    place: start of the piece, from 0 (the earliest) to 1 (the latest). A shorter recording is
    repeated, its end faded into its beginning. If no sample of the piece is larger than `quiet`,
    the piece starts at the next larger sample of the recording. None if there is no such sample.
    """
    if len(noise) < length:
        loop = looped(unit_scale(noise))
        found = np.resize(np.roll(loop, -int(place * len(loop))), length)
        return found if _sounds(found, quiet) else None
    last = len(noise) - length
    start = int(place * (last + 1))
    found = unit_scale(noise[start : start + length])
    if _sounds(found, quiet):
        return found
    sounding = _next_sound(noise, start + length, quiet)
    if sounding is None:
        sounding = _next_sound(noise, 0, quiet)
    if sounding is None:
        return None
    start = min(sounding, last)
    return unit_scale(noise[start : start + length])


def looped(noise: np.ndarray, fade: int = FADE) -> np.ndarray:
    """(L,) -> (L - F,) that can be repeated without a click.

    The last F = min(fade, L // 2) samples are crossfaded into the first; the squares of both
    weights add up to 1, so that noise keeps its power.
    """
    fade = min(fade, len(noise) // 2)
    angle = (np.arange(fade) + 0.5) / max(fade, 1) * (np.pi / 2)
    rising, falling = (np.asarray(w, dtype=noise.dtype) for w in (np.sin(angle), np.cos(angle)))
    found = noise[: len(noise) - fade].copy()
    found[:fade] = rising * noise[:fade] + falling * noise[len(noise) - fade :]
    return found


def _sounds(samples: np.ndarray, quiet: float) -> bool:
    return bool(np.abs(samples).max(initial=0.0) > quiet)


def _next_sound(noise: np.ndarray, start: int, quiet: float) -> int | None:
    """The first sample from `start` on that is larger than `quiet`."""
    for first in range(start, len(noise), _BLOCK):
        loud = np.flatnonzero(np.abs(unit_scale(noise[first : first + _BLOCK])) > quiet)
        if len(loud):
            return first + int(loud[0])
    return None
