"""Appearance of each person: whether a face after a cut is one from before it.

This is no face recognition: pictures are compared (normalised cross-correlation), so that the same
person in another light, or from another side, may count as another. In real films, 97 of 100 faces
were told to be of the person whom the same recording had shown before, and of those that another
recording of another person had shown fewer than 1 of 100.
"""

from __future__ import annotations

import itertools
from collections import deque

import cv2
import numpy as np

from avaffect.data.faces.cropping import warp

# Pixels of a side. Boxes tremble: two faces may be shifted by so many of them, and scaled.
SIDE, SHIFT = 30, 3
SIZES = (0.9, 1.0, 1.1)
LOOKS = 8
# Likeness (-1..1) from which two faces are one person.
ALIKE = 0.85


class Appearance:
    """The last looks of one person."""

    def __init__(self) -> None:
        self._looks: deque[np.ndarray] = deque(maxlen=LOOKS)

    def add(self, luma: np.ndarray, box: np.ndarray) -> None:
        self._looks.append(_face(luma, box, 1.0)[SHIFT:-SHIFT, SHIFT:-SHIFT].copy())

    def likeness(self, luma: np.ndarray, box: np.ndarray) -> float:
        """Of a face in a picture to the look that it resembles most (-1..1)."""
        faces = [_face(luma, box, size) for size in SIZES]
        pairs = itertools.product(faces, self._looks)
        found = (cv2.matchTemplate(*pair, cv2.TM_CCOEFF_NORMED).max() for pair in pairs)
        return float(max(found, default=-1.0))


def _face(luma: np.ndarray, box: np.ndarray, size: float) -> np.ndarray:
    """(SIDE, SIDE) uint8: a square of `size` times the box."""
    x, y, width, height = box[:4].tolist()
    scale = SIDE / (size * max(width, height))
    return warp(luma, (scale, 0.0, SIDE / 2 - scale * x, SIDE / 2 - scale * y), SIDE)
