"""Stretching audio by small, slowly changing ratios, block by block."""

from __future__ import annotations

from typing import Protocol

import numpy as np

# Number of samples on each side from which a new sample is interpolated.
REACH = 16
# Positions between two samples for which weights are tabulated: errors are 70 dB below the signal.
PHASES = 4096


class Sink(Protocol):
    def write(self, samples: np.ndarray) -> None: ...


def _weights() -> np.ndarray:
    """(PHASES + 1, 2 REACH) float32: band-limited interpolation, windowed after Lanczos."""
    phase = np.linspace(0, 1, PHASES + 1)[:, None]
    distance = np.arange(1 - REACH, REACH + 1)[None] - phase
    weights = np.sinc(distance) * np.sinc(distance / REACH)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


class Stretcher:
    """Passes int16 samples to a sink, stretched by `pace`: the number of new samples over old ones.

    Samples are unchanged while pace is 1.0 from the start, or from the last flush.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink, self.pace = sink, 1.0
        self._weights: np.ndarray | None = None
        self._reset()

    def _reset(self) -> None:
        # The last samples, and the position of the next new one among or after them.
        self._held = np.zeros(REACH, np.int16)
        self._next = float(REACH)
        self._active = False

    def write(self, samples: np.ndarray) -> None:
        if not self._active and self.pace == 1.0:
            self.sink.write(samples)
            short = len(samples) < REACH
            self._held = (np.concatenate([self._held, samples]) if short else samples)[-REACH:]
            return
        self._active = True
        self._held = np.concatenate([self._held, samples])
        self._stretch(len(self._held) - REACH)

    def flush(self) -> None:
        """Write the samples that wait for later ones, at the end."""
        if self._active:
            whole = len(self._held)
            self._held = np.concatenate([self._held, np.zeros(REACH, np.int16)])
            self._stretch(whole)
        self._reset()

    def _stretch(self, until: int) -> None:
        """Write the new samples before position `until` of the buffer."""
        step = 1 / self.pace
        count = int(np.ceil((until - self._next) / step))
        if count <= 0:
            return
        if self._weights is None:
            self._weights = _weights()
        places = self._next + step * np.arange(count)
        before = places.astype(np.int64)
        phases = np.rint((places - before) * PHASES).astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * REACH)
        new = np.einsum("nk,nk->n", windows[before + 1 - REACH], self._weights[phases])
        self.sink.write(np.clip(np.rint(new), -32768, 32767).astype("<i2"))
        self._next += step * count
        done = int(self._next) - REACH
        self._held, self._next = self._held[done:], self._next - done
