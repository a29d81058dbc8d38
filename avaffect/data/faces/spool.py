"""Crops and boxes of one face, written to raw files one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from avaffect.data.faces.options import ABSENT, COLUMNS, SOURCES, FaceOptions

BUFFER_BYTES = 1 << 18
# Regions of the crop, as shares of its side: (top, bottom, left, right). A speaking face moves more
# around the mouth than around the eyes.
MOUTH = (0.6, 0.9, 0.26, 0.74)
EYES = (0.2, 0.5, 0.18, 0.82)
# Change from frame to frame in a still face, as a share of its contrast.
NOISE = 0.02


@dataclass
class Sums:
    """Sums of the pixels of `frames` crops and of their squares, by channel; whole numbers, so that
    sums of several add up exactly."""

    frames: int = 0
    total: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)

    def add(self, crops: np.ndarray) -> None:
        """Add crops (N, H, W, C)."""
        channels = cv2.split(crops.reshape(-1, *crops.shape[2:]))
        if not self.frames:
            self.total, self.squares = [0] * len(channels), [0] * len(channels)
        for number, channel in enumerate(channels):
            self.total[number] += int(cv2.sumElems(channel)[0])
            # OpenCV may take a root and square it again: whole up to rounding.
            self.squares[number] += round(cv2.norm(channel, cv2.NORM_L2SQR))
        self.frames += len(crops)

    def join(self, other: Sums) -> None:
        mine, theirs = self.total or [0] * len(other.total), other.total
        self.total = [a + b for a, b in zip(mine, theirs)]
        mine, theirs = self.squares or [0] * len(other.squares), other.squares
        self.squares = [a + b for a, b in zip(mine, theirs)]
        self.frames += other.frames


class FaceSpool:
    """The files STEM.face and STEM.face_track of one person; steps that are not written are absent:
    zeros, and NaN for landmarks."""

    def __init__(self, stem: Path, options: FaceOptions) -> None:
        self.face, self.face_track = (Path(f"{stem}.{name}") for name in ("face", "face_track"))
        self._crops = self.face.open("wb", buffering=BUFFER_BYTES)
        self._tracks = self.face_track.open("wb")
        self._crop_bytes = math.prod(options.shape)
        self._next = 0
        self._absent = np.zeros(len(COLUMNS), "<f4")
        self._absent[4:14] = np.nan
        self.sums = Sums()
        self.counts = [0] * len(SOURCES)
        self.area = 0.0
        self._watched: tuple[int, np.ndarray] = -1, np.zeros(0)
        self._mouth = self._eyes = 0.0
        self._moved_frames = 0

    def write(
        self, first: int, crops: np.ndarray, boxes: np.ndarray, sources: np.ndarray,
        scores: np.ndarray,
    ) -> None:  # fmt: skip
        """Write crops (N, H, W, C), boxes, sources and scores of the frames from `first` on."""
        self._skip_to(first)
        self._crops.write(memoryview(np.ascontiguousarray(crops)))
        rows = np.full((len(crops), len(COLUMNS)), np.nan, "<f4")
        rows[:, : boxes.shape[1]] = boxes
        rows[:, :2] -= rows[:, 2:4] / 2
        rows[:, 14], rows[:, 15] = scores, sources
        self._tracks.write(rows.tobytes())
        self.sums.add(crops)
        for source in sources.tolist():
            self.counts[source] += 1
        self.area += float(boxes[:, 2] @ boxes[:, 3])
        self._next += len(crops)

    def _skip_to(self, frame: int) -> None:
        absent = frame - self._next
        if absent > 0:
            # The file system returns such holes as zeros.
            self._crops.seek(absent * self._crop_bytes, 1)
            for _ in range(absent):
                self._tracks.write(self._absent.tobytes())
            self.counts[ABSENT] += absent
            self._next = frame

    def watch_mouth(self, first: int, crops: np.ndarray) -> None:
        """Add the motion of mouth and upper face from frame to frame. crops (N, H, W, C): of frames
        from `first` on."""
        greys = crops[..., crops.shape[3] // 2]
        following, last = self._watched
        if first == following:
            greys = np.concatenate([last[None], greys])
        self._watched = first + len(crops), greys[-1]
        if len(greys) > 1:
            contrast = cv2.meanStdDev(crops[..., 0].reshape(-1, 1))[1][0, 0] + 1.0
            self._mouth += _motion(greys, MOUTH) / contrast
            self._eyes += _motion(greys, EYES) / contrast
            self._moved_frames += len(greys) - 1

    @property
    def seen(self) -> int:
        """Number of frames with the face."""
        return self.sums.frames

    @property
    def speech(self) -> float:
        """Score of speaking: motion of the mouth relative to that of the upper face, times the
        number of frames. The ratio is 1 for a person who never occurs together with others."""
        if not self._moved_frames:
            return float(self.seen)
        noise = NOISE * max(self._moved_frames, 1)
        return self._mouth / (self._eyes + noise) * self.seen

    def close(self, frames: int) -> None:
        """Complete the files to `frames` steps."""
        self._skip_to(frames)
        self._crops.truncate(frames * self._crop_bytes)
        self._crops.close()
        self._tracks.close()

    def discard(self) -> None:
        self._crops.close()
        self._tracks.close()
        self.face.unlink(missing_ok=True)
        self.face_track.unlink(missing_ok=True)


def _motion(greys: np.ndarray, part: tuple[float, float, float, float]) -> float:
    """Sum over pictures of the mean change of a region from each picture to the next."""
    top, bottom, left, right = (round(share * greys.shape[1]) for share in part)
    parts = np.ascontiguousarray(greys[:, top:bottom, left:right])
    change = cv2.absdiff(parts[1:].ravel(), parts[:-1].ravel())
    return cv2.sumElems(change)[0] / parts[0].size
