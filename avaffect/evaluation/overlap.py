"""Overlapping windows over a recording: their starts, and the mean of their predictions."""

from __future__ import annotations

import numpy as np

from avaffect.core.nouns import count_of


def window_starts(steps: int, window: int, step: int) -> np.ndarray:
    """(W,) int64: the first steps of windows of `window` steps over a recording of `steps`.

    They are `step` apart, from 0 on, except the last, which ends with the recording: every step is
    in at least one, and every window is full unless the recording is shorter. Raises ValueError
    unless 1 <= step <= window.
    """
    if not 1 <= step <= window:
        raise ValueError(
            f"windows of {count_of(window, 'step')}, {step} apart: some steps are in none"
        )
    last = max(steps - window, 0)
    return np.append(np.arange(0, last, step, dtype=np.int64), last)


class OverlapMean:
    """The mean of the predictions of each step."""

    def __init__(self, steps: int, *shape: int) -> None:
        """shape: of the prediction of a step."""
        # The mean of equal numbers is exactly this number.
        self._sums = np.zeros((steps, *shape), dtype=np.float64)
        self._counts = np.zeros((steps, *[1] * len(shape)), dtype=np.int64)

    def add(self, start: int, values: np.ndarray) -> None:
        """values (T, ...) of the steps from `start` on"""
        part = slice(start, start + len(values))
        self._sums[part] += values
        self._counts[part] += 1

    def mean(self) -> np.ndarray:
        """(steps, ...) float32; NaN for steps without predictions."""
        said = self._counts > 0
        return np.where(said, self._sums / np.maximum(self._counts, 1), np.nan).astype(np.float32)
