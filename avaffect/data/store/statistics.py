"""Mean and standard deviation of the pixels of faces, in the specification of a stream."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# ITU-R BT.601: weights of red, green and blue in grey.
LUMA = (0.299, 0.587, 0.114)

Statistics = dict[str, Any]


def pixel_statistics(
    frames: int, total: Sequence[int], squares: Sequence[int], pixels: int
) -> Statistics:
    """Mean and standard deviation by channel of the pixels of faces, divided by 255.

    frames: number of pictures with a face; total, squares: sums, by channel, of their values and of
    the squares, whole numbers; pixels: of one channel of a picture. The sums are kept, so that
    those of several parts add up exactly.
    """
    count = max(frames * pixels, 1)
    means = [value / count for value in total]
    return {
        "frames": frames,
        "mean": [mean / 255 for mean in means],
        "std": [
            math.sqrt(max(count * square - value * value, 0)) / count / 255
            for value, square in zip(total, squares)
        ],
        "sum": list(total),
        "sum_squares": list(squares),
    }


def merged_statistics(parts: Sequence[Statistics], pixels: int) -> Statistics:
    """`pixel_statistics` of several streams together; empty if one lacks them."""
    if not parts or not all(parts):
        return {}
    total, squares = (
        [sum(values) for values in zip(*(part[name] for part in parts))]
        for name in ("sum", "sum_squares")
    )
    return pixel_statistics(sum(part["frames"] for part in parts), total, squares, pixels)


def combined(parts: Iterable[Statistics | None]) -> Statistics | None:
    """Mean, std and frames of several corpora together, with possibly different sizes and channels.

    Each is weighted by its frames; parts without frames, or None, are ignored. Parts are converted
    to the channels of the first. (For parts of one corpus, `merged_statistics` is exact.)
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
    """(mean, std) converted to `channels`: grey for each colour, luma of colours for grey.

    The deviation of luma assumes fully correlated colours, which is nearly true of faces.
    """
    rows = (statistics["mean"], statistics["std"])
    if len(rows[0]) == channels:
        return tuple(tuple(row) for row in rows)
    if channels == 1:
        return tuple((float(np.dot(LUMA, row)),) for row in rows)
    return tuple(tuple(row) * channels for row in rows)
