"""Log-mel spectrograms as pictures, on one scale of seconds and one of colours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avaffect.data import pictures

RANGE_DB = 60
"""Colours go from this far below the loudest value of an utterance up to it."""

AXIS = 16
"""Height of the seconds below a spectrogram, in pixels."""

STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
FEWEST_PIXELS = 34
"""Between two seconds that are written."""

NUMBERS_SCALE = 0.3
COLOURS = cv2.COLORMAP_MAGMA


LONGEST_SHARE = 0.8
"""Of the utterances of a picture, those that are shown whole."""


def scale_of(seconds: Sequence[float]) -> float:
    """The seconds that all spectrograms of a picture are wide: four of five utterances fit, so that
    one of minutes does not make hairs of the others."""
    return float(np.quantile(seconds, LONGEST_SHARE, method="inverted_cdf"))


def spectrogram(
    levels: np.ndarray, rate_hz: float, seconds: float, height: int, width: int
) -> np.ndarray:
    """(height, width, 3) uint8 RGB of the natural logarithms of power (T, bands), low bands at the
    bottom, with the seconds below; 0 is silence.

    seconds: that the width stands for; a shorter utterance leaves the rest blank, and of a longer
    one the beginning is shown.
    """
    picture = np.full((height, width, 3), pictures.BLANK, dtype=np.uint8)
    plot = picture[: height - AXIS]
    levels = levels[: round(seconds * rate_hz)]
    if len(levels):
        decibels = levels.T[::-1] * (10 / np.log(10))
        level = 1 + (decibels - decibels.max()) / RANGE_DB
        # Digital silence, exactly 0, has the same colour beside loud and soft values, and alone.
        level[decibels == 0] = 0.0
        # A window is as long as two and a half steps: the last one ends with the utterance.
        share = min(1.0, (len(levels) + 1.5) / rate_hz / seconds)
        size = max(1, round(share * width)), len(plot)
        method = cv2.INTER_AREA if len(levels) > size[0] else cv2.INTER_LINEAR
        fitted = cv2.resize(np.ascontiguousarray(level), size, interpolation=method)
        plot[:, : size[0]] = coloured(fitted)
    _draw_seconds(picture, seconds)
    return picture


def coloured(level: np.ndarray) -> np.ndarray:
    """(H, W) from 0 to 1, clipped -> (H, W, 3) uint8 RGB."""
    steps = np.round(np.clip(level, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(steps, COLOURS)[..., ::-1])


def key(height: int = 12, width: int = 160) -> np.ndarray:
    """A bar of the colours with what they mean, (H, W, 3) uint8 RGB."""
    words = f"-{RANGE_DB} dB", "0 dB: the loudest of each utterance"
    before, after = (pictures.text_width(text) + pictures.GAP for text in words)
    picture = np.full((height, before + width + after, 3), pictures.BACKGROUND, dtype=np.uint8)
    picture[:, before : before + width] = coloured(np.linspace(0, 1, width)[None].repeat(height, 0))
    pictures.write_line(picture, words[0], 0, height, before)
    pictures.write_line(picture, words[1], before + width + pictures.GAP, height, after)
    return picture


def _draw_seconds(picture: np.ndarray, seconds: float) -> None:
    """Ticks and numbers at the bottom of a spectrogram that is so many seconds wide."""
    height, width = picture.shape[:2]
    step = next((s for s in STEPS if s / seconds * width >= FEWEST_PIXELS), STEPS[-1])
    for number in range(1, int(seconds / step) + 1):
        x = round(number * step / seconds * width)
        text = f"{number * step:g}" + (" s" if number == 1 else "")
        wide = pictures.text_width(text, NUMBERS_SCALE)
        if x + wide // 2 > width - pictures.FRAME:
            break
        picture[height - AXIS : height - AXIS + 3, x] = pictures.INK
        place = x - wide // 2, height - pictures.FRAME
        pictures.write_line(picture, text, *place, wide, NUMBERS_SCALE)
