"""Frames of a recording with the face crops taken from them, for inspection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avaffect.data.decoding.video import Picture
from avaffect.data.faces.options import COLUMNS, FaceOptions

# Longer side in pixels.
THUMB = 192


@dataclass(frozen=True)
class Sample:
    """thumb (h, w, 3) uint8: the source frame scaled by `scale`; track: its step of face_track;
    crop (H, W, C) uint8."""

    frame: int
    thumb: np.ndarray
    scale: float
    track: np.ndarray
    crop: np.ndarray


class Samples:
    """Evenly spaced frames of a video of unknown length, between `count` and twice as many."""

    def __init__(self, count: int) -> None:
        self.count, self._stride = count, 1
        self._thumbs: dict[int, tuple[np.ndarray, float]] = {}
        self.found: list[Sample] = []

    def offer(self, frame: int, picture: Picture) -> None:
        if frame % self._stride:
            return
        colour = picture.rgb
        scale = min(THUMB / max(colour.shape[:2]), 1.0)
        thumb = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._thumbs[frame] = thumb, scale
        if len(self._thumbs) > 2 * self.count:
            self._stride *= 2
            self._thumbs = {f: t for f, t in self._thumbs.items() if f % self._stride == 0}

    def add_faces(self, face: Path, face_track: Path, options: FaceOptions) -> None:
        """Add crops and boxes of the kept frames from their raw files."""
        step = math.prod(options.shape)
        with face.open("rb") as crops, face_track.open("rb") as tracks:
            for frame, (thumb, scale) in self._thumbs.items():
                crops.seek(frame * step)
                tracks.seek(frame * 4 * len(COLUMNS))
                crop = np.frombuffer(crops.read(step), np.uint8).reshape(options.shape)
                track = np.frombuffer(tracks.read(4 * len(COLUMNS)), "<f4")
                self.found.append(Sample(frame, thumb, scale, track, crop))
        self._thumbs = {}
