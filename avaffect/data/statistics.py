"""Mean and deviation of a stream's values, as its specification carries them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

# ITU-R BT.601: what a grey picture shows of red, green and blue.
LUMA = (0.299, 0.587, 0.114)

Statistics = dict[str, Any]


def combined(parts: Iterable[Statistics | None]) -> Statistics | None:
    """Statistics of several corpora as one; those without frames, or None, count for nothing.

    mean, std: one number for each channel; frames: how many they are of. Parts with other
    channels than the first are brought to its.
    """
    known = [part for part in parts if part and part["frames"]]
    if not known:
        return None
    channels = len(known[0]["mean"])
    weight = np.array([part["frames"] for part in known], dtype=np.float64)[:, None]
    moments = [in_channels(part, channels) for part in known]
    mean = np.array([m for m, _ in moments])
    square = np.array([s for _, s in moments]) ** 2 + mean**2
    total = weight.sum()
    whole = (weight * mean).sum(axis=0) / total
    variance = (weight * square).sum(axis=0) / total - whole**2
    return {
        "mean": whole.tolist(),
        "std": np.sqrt(np.maximum(variance, 0.0)).tolist(),
        "frames": int(total),
    }


def in_channels(statistics: Statistics, channels: int) -> tuple[tuple[float, ...], ...]:
    """(mean, std) of so many channels: grey for each colour, luma of colours for grey.

    The deviation of luma is taken as if the colours rose and fell together, as in faces they do.
    """
    rows = (statistics["mean"], statistics["std"])
    if len(rows[0]) == channels:
        return tuple(tuple(row) for row in rows)
    if channels == 1:
        return tuple((float(np.dot(LUMA, row)),) for row in rows)
    return tuple(tuple(row) * channels for row in rows)
