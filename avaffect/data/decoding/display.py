"""Display of decoded frames: rotation, mirroring, and square pixels.

Rotated or mirroring cameras store the picture of the sensor and a display matrix that corrects it;
old formats store pixels that are not square, and their aspect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type

# Pixels within this of square are taken as square, as sizes are rounded.
LEAST_ASPECT = 1.01
# No video has such pixels: the header is wrong.
LARGEST_ASPECT = 4.0
# A larger deviation from a right angle is not rounding, and is reported.
LARGEST_TILT_DEGREES = 2.0

# Display matrices (a, b, c, d) of rotations by right angles and reflections, and equal operations:
# the pixel at (x, y) is displayed at (a x + c y, b x + d y), with axes to the right and down.
TURNS: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray] | None] = {
    (1, 0, 0, 1): None,
    (0, 1, -1, 0): lambda picture: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE),
    (-1, 0, 0, -1): lambda picture: cv2.rotate(picture, cv2.ROTATE_180),
    (0, -1, 1, 0): lambda picture: cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE),
    (-1, 0, 0, 1): lambda picture: cv2.flip(picture, 1),
    (1, 0, 0, -1): lambda picture: cv2.flip(picture, 0),
    (0, 1, 1, 0): cv2.transpose,
    (0, -1, -1, 0): lambda picture: cv2.flip(cv2.transpose(picture), -1),
}  # fmt: skip
UPRIGHT = (1, 0, 0, 1)


@dataclass(frozen=True)
class Display:
    """turn: a key of TURNS; aspect: width of a stored pixel over its height."""

    turn: tuple[int, int, int, int] = UPRIGHT
    aspect: float = 1.0

    def of(self, picture: np.ndarray) -> np.ndarray:
        """A stored picture (H, W, ...) uint8 as it is displayed; the same array if nothing changes.

        Pixels are made square by enlarging the shorter side, so that no resolution is lost.
        """
        if self.aspect != 1.0:
            height, width = picture.shape[:2]
            wider, higher = max(self.aspect, 1.0), max(1 / self.aspect, 1.0)
            size = (round(width * wider), round(height * higher))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        turn = TURNS[self.turn]
        return picture if turn is None else turn(picture)


class Displays:
    """Display of the frames of a video, updated in key frames, where it may change.
    tilt: largest deviation of a display matrix from a right angle, in degrees."""

    def __init__(self, stream: Any) -> None:
        self._context = stream.codec_context
        # The container's aspect overrides that of the codec, which may change within the video.
        aspect = stream.sample_aspect_ratio
        self._declared = None if aspect == self._context.sample_aspect_ratio else aspect
        self._now: Display | None = None
        self.tilt = 0.0

    def of(self, frame: av.VideoFrame) -> Display:
        if self._now is None or frame.key_frame:
            matrix = display_matrix(frame)
            turn, tilt = (UPRIGHT, 0.0) if matrix is None else nearest_turn(matrix)
            self.tilt = max(self.tilt, tilt)
            aspect = self._declared or self._context.sample_aspect_ratio
            self._now = Display(turn, plausible_aspect(aspect))
        return self._now


def plausible_aspect(aspect: Any) -> float:
    """The aspect of pixels; 1 if it is unknown, implausible or nearly 1."""
    if not aspect or aspect <= 0:
        return 1.0
    larger = max(float(aspect), 1 / float(aspect))
    return float(aspect) if LEAST_ASPECT <= larger <= LARGEST_ASPECT else 1.0


def display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """The (2, 2) linear part of a frame's display matrix: [[a, b], [c, d]]; None without a
    matrix."""
    try:
        data = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    except ValueError as error:
        # PyAV lists no side data at all if FFmpeg has a type that PyAV has no name for, such as the
        # EXIF data of photographs: "31 is not a valid Type".
        number = str(error).split()[0]
        return display_matrix(_without(frame, number)) if number.isdigit() else None
    if data is None:
        return None
    return np.frombuffer(data, np.int32)[[0, 1, 3, 4]].reshape(2, 2) / 65536


def _without(frame: av.VideoFrame, kind: str) -> av.VideoFrame:
    """The same picture without side data of one type."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    removed = graph.add("sidedata", f"mode=delete:type={kind}")
    sink = graph.add("buffersink")
    source.link_to(removed)
    removed.link_to(sink)
    graph.configure()
    graph.push(frame)
    turned = graph.pull()
    assert isinstance(turned, av.VideoFrame)
    return turned


def nearest_turn(matrix: np.ndarray) -> tuple[tuple[int, int, int, int], float]:
    """The key of TURNS nearest to a matrix (2, 2), and its distance in degrees."""
    lengths = np.hypot(matrix[:, 0], matrix[:, 1])
    if not lengths.all():
        return UPRIGHT, 0.0
    # The scale of the matrix is that of the player's window.
    unit = (matrix / lengths[:, None]).ravel()
    alike = {turn: float(np.dot(turn, unit)) / 2 for turn in TURNS}
    turn = max(alike, key=alike.__getitem__)
    tilt = math.degrees(math.acos(min(max(alike[turn], -1.0), 1.0)))
    return turn, tilt if tilt > LARGEST_TILT_DEGREES else 0.0
