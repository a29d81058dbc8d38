"""Appearance of each person, to decide whether a face after a cut belongs to a person before it.

This is not face recognition: pictures are compared (normalised cross-correlation), so that the same
person in another light, or from another side, may count as another. In real videos, 97 of 100 faces
were matched with the same person earlier in the recording, and fewer than 1 of 100 with a person of
another recording.
"""

from __future__ import annotations

import itertools
from collections import deque

import cv2
import numpy as np

from avaffect.data.faces.cropping import warp

# Side in pixels. Boxes jitter: two faces may be shifted by this many pixels, and scaled.
SIDE, SHIFT = 30, 3
SIZES = (0.9, 1.0, 1.1)
LOOKS = 8
# Least likeness (-1..1) of two faces of one person.
ALIKE = 0.85


class Appearance:
    """The last pictures of one person's face."""

    def __init__(self) -> None:
        self._looks: deque[np.ndarray] = deque(maxlen=LOOKS)

    def add(self, luma: np.ndarray, box: np.ndarray) -> None:
        self._looks.append(_face(luma, box, 1.0)[SHIFT:-SHIFT, SHIFT:-SHIFT].copy())

    def likeness(self, luma: np.ndarray, box: np.ndarray) -> float:
        """Largest likeness (-1..1) of a face in a picture to the pictures of this person."""
        faces = [_face(luma, box, size) for size in SIZES]
        pairs = itertools.product(faces, self._looks)
        found = (cv2.matchTemplate(*pair, cv2.TM_CCOEFF_NORMED).max() for pair in pairs)
        return float(max(found, default=-1.0))


def _face(luma: np.ndarray, box: np.ndarray, size: float) -> np.ndarray:
    """(SIDE, SIDE) uint8: the square of `size` times the box."""
    x, y, width, height = box[:4].tolist()
    scale = SIDE / (size * max(width, height))
    return warp(luma, (scale, 0.0, SIDE / 2 - scale * x, SIDE / 2 - scale * y), (SIDE, SIDE))
