"""Options of face processing, and the streams that result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avaffect.core.streams import FACE, FACE_TRACK
from avaffect.data.store.schema import StreamSpec

COLUMNS = (
    "x", "y", "width", "height",
    "right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y", "nose_x", "nose_y",
    "right_mouth_x", "right_mouth_y", "left_mouth_x", "left_mouth_y",
    "score", "source",
)  # fmt: skip
ABSENT, DETECTED, TRACKED, INTERPOLATED = range(4)
SOURCES = ("absent", "detected", "tracked", "interpolated")


@dataclass(frozen=True)
class FaceOptions:
    """detector: haar, yunet or none; model: a YuNet file; align: by landmarks to the mean face;
    size: side of a crop in pixels; colour: RGB instead of grey; margin: on each side of the box, as
    a share of it; which: the face to take of several, speaking or largest. Of whole pictures
    (detector none), width: of the result, None for size; pad: with black, rather than cut off, what
    another shape leaves over."""

    detector: str = "haar"
    model: Path | None = None
    align: bool = False
    size: int = 96
    colour: bool = False
    fps: float = 25.0
    margin: float = 0.1
    which: str = "speaking"
    width: int | None = None
    pad: bool = False

    @property
    def channels(self) -> int:
        return 3 if self.colour else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a crop."""
        return self.size, self.width or self.size, self.channels

    def streams(self, model_id: str | None) -> dict[str, StreamSpec]:
        """model_id: hash of the detector's weights, if it has a file."""
        made: dict[str, Any] = {"detector": self.detector}
        if self.detector != "none":
            made |= {"margin": self.margin, "which": self.which}
        if self.detector == "yunet":
            made |= {"align": self.align, "model": model_id}
        if self.pad:
            made |= {"fit": "pad"}
        columns = {"columns": list(COLUMNS), "sources": list(SOURCES)}
        return {
            FACE: StreamSpec(FACE, "uint8", self.fps, self.shape, made=made),
            FACE_TRACK: StreamSpec(
                FACE_TRACK, "float32", self.fps, (len(COLUMNS),), made=made | columns
            ),
        }
