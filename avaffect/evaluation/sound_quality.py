"""Level, pauses, noise and likeness of recordings of speech: what to look at before training.

All measures are of (S,) int16 samples at 16 kHz. Levels are in dB of full scale (a full-scale
square wave has 0), of windows of 25 ms every 10 ms:

    peak_db     of the largest sample
    level_db    of the mean power of active windows: above -60 dB, and within 30 dB of the loud ones
                (95th percentile of those above -60 dB)
    noise_db    10th percentile of the windows: what is left in pauses; too high without pauses
    snr_db      level_db - noise_db, an estimate in the manner of NIST's STNR, by percentiles
    silence     share of windows that are not active
    offset      mean of the samples, as a share of full scale

A fingerprint tells recordings of one sound from others, whatever their level and codec, and with
silence before or after it: of the part from the first active window to the last, in 17 equal
pieces and 17 bands of frequency, whether the difference of neighbouring bands grows from a piece to
the next, 256 bits (Haitsma and Kalker, A highly robust audio fingerprinting system, ISMIR 2002,
equation 1, with pieces in place of frames).
"""

from __future__ import annotations

from functools import cache

import numpy as np

RATE_HZ = 16_000
WINDOW, HOP = 400, 160
FULL_SCALE = 2.0**15
# Of less power than the steps of 16 bits.
FLOOR_DB = -100.0
ACTIVE_DB, LEAST_ACTIVE_DB = 30.0, -60.0
LOUD, QUIET = 95, 10
MEASURES = (
    "duration_s", "peak_db", "level_db", "noise_db", "snr_db", "silence", "offset",
)  # fmt: skip

PIECES, BANDS = 17, 17
BITS = (PIECES - 1) * (BANDS - 1)
# Windows of the spectrum; a fingerprint needs two windows a piece.
SPECTRUM, SPECTRUM_HOP = 1024, 256
LEAST_S = 0.6
LOWEST_HZ, HIGHEST_HZ = 200.0, 3400.0


def measured(samples: np.ndarray) -> np.ndarray:
    """(M,) float32 in the order of MEASURES; NaN but for the duration without samples."""
    found = np.full(len(MEASURES), np.nan, dtype=np.float32)
    found[0] = len(samples) / RATE_HZ
    if not len(samples):
        return found
    levels = window_levels(samples)
    active = active_windows(levels)
    peak = np.abs(samples.astype(np.int32)).max()
    level = _db(np.mean(10 ** (levels[active] / 10))) if active.any() else float(levels.max())
    noise = float(np.percentile(levels, QUIET))
    found[1:] = (
        _db((peak / FULL_SCALE) ** 2), level, noise, level - noise, 1 - active.mean(),
        samples.mean(dtype=np.float64) / FULL_SCALE,
    )  # fmt: skip
    return found


def window_levels(samples: np.ndarray) -> np.ndarray:
    """(W,) float64 levels of windows in dB; of less than a window, one of all samples."""
    squares = np.square(samples.astype(np.float64) / FULL_SCALE)
    if len(squares) < WINDOW:
        return np.array([_db(squares.mean())])
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    starts = np.arange(0, len(squares) - WINDOW + 1, HOP)
    powers = (sums[starts + WINDOW] - sums[starts]) / WINDOW
    return 10 * np.log10(np.maximum(powers, 10 ** (FLOOR_DB / 10)))


def active_windows(levels: np.ndarray) -> np.ndarray:
    """(W,) bool: where there is sound. The loud windows are a share of those above -60 dB, so that
    added silence changes nothing."""
    audible = levels[levels > LEAST_ACTIVE_DB]
    if not len(audible):
        return np.zeros(len(levels), dtype=bool)
    least = max(float(np.percentile(audible, LOUD)) - ACTIVE_DB, LEAST_ACTIVE_DB)
    return np.asarray(levels > least)


def _db(power: float) -> float:
    return float(10 * np.log10(max(power, 10 ** (FLOOR_DB / 10))))


def fingerprint(samples: np.ndarray) -> np.ndarray | None:
    """(BITS / 8,) uint8; None of less than 0.6 s of sound."""
    active = np.flatnonzero(active_windows(window_levels(samples)))
    if not len(active):
        return None
    sound = samples[active[0] * HOP : active[-1] * HOP + WINDOW]
    if len(sound) < LEAST_S * RATE_HZ:
        return None
    bands = _bands(sound)
    edges = np.linspace(0, len(bands), PIECES + 1).round().astype(int)
    pieces = np.add.reduceat(bands, edges[:-1]) / np.diff(edges)[:, None]
    energies = np.log(pieces + 1e-9)
    steps = np.diff(np.diff(energies, axis=1), axis=0)
    return np.packbits(steps > 0)


def _bands(sound: np.ndarray) -> np.ndarray:
    """(W, BANDS) power of windows, in blocks: an hour of sound has many."""
    taper, filters = np.hanning(SPECTRUM), _filters()
    starts = np.arange(0, max(len(sound) - SPECTRUM, 0) + 1, SPECTRUM_HOP)
    found = np.empty((len(starts), BANDS))
    for begin in range(0, len(starts), 512):
        rows = starts[begin : begin + 512, None] + np.arange(SPECTRUM)
        windows = sound[rows].astype(np.float64) / FULL_SCALE
        power = np.abs(np.fft.rfft(windows * taper, axis=1)) ** 2
        found[begin : begin + 512] = power @ filters
    return found


@cache
def _filters() -> np.ndarray:
    """(F, BANDS): bins of bands that are evenly apart in the logarithm of frequency."""
    bins = np.fft.rfftfreq(SPECTRUM, 1 / RATE_HZ)
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
    place = np.searchsorted(edges, bins, side="right") - 1
    return (place[:, None] == np.arange(BANDS)).astype(np.float64)
