"""Windows over utterances, each of which is predicted by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avaffect.data.dataset import Dataset
from avaffect.evaluation.overlap import window_starts

STEPS_A_SECOND = 1000
Times = tuple[float, float]


@dataclass(frozen=True)
class Sections:
    """dataset: of M sections; rows: (M,) int64, the utterance of each; times: start and end of each
    in seconds, None of whole utterances."""

    dataset: Dataset
    rows: np.ndarray
    times: list[Times] | None = None


def sections_of(utterances: Dataset, window_s: float | None, step_s: float | None) -> Sections:
    """Windows of `window_s` over each utterance, `step_s` apart (default: half a window), the last
    of which ends with it; shorter utterances, and all without a window, whole."""
    if window_s is None:
        return Sections(utterances, np.arange(len(utterances)))
    window = max(1, round(window_s * STEPS_A_SECOND))
    step = min(max(1, round((step_s or window_s / 2) * STEPS_A_SECOND)), window)
    rows: list[int] = []
    times: list[Times] = []
    for row, seconds in enumerate(utterances.durations().tolist()):
        steps = round(seconds * STEPS_A_SECOND)
        for start in window_starts(steps, window, step).tolist():
            rows.append(row)
            times.append((start / STEPS_A_SECOND, min(start + window, steps) / STEPS_A_SECOND))
    places = np.array(rows, dtype=np.int64)
    starts = np.array([start for start, _ in times])
    cut = replace(utterances.subset(places), crop_s=window_s, starts_s=starts)
    return Sections(cut, places, times)
