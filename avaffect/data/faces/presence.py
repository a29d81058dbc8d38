"""The share of a recording's pictures that show a face, by detection alone, without tracking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import VideoCounts, read_pictures
from avaffect.data.faces.detection import Detector, load_detector
from avaffect.data.faces.options import FaceOptions
from avaffect.data.faces.people import SMALLEST


@dataclass(frozen=True)
class Look:
    """An utterance to look at. start_s, end_s: in seconds of the recording; None: all of it."""

    path: Path
    options: FaceOptions
    start_s: float | None = None
    end_s: float | None = None


def share_with_face(look: Look) -> float | str:
    """The share, 0 to 1, of the pictures at `options.fps` in which a face is found; or why the
    recording cannot be read."""
    detector = load_detector(look.options)
    shown = found = 0
    try:
        for picture in read_pictures(
            look.path, look.options.fps, VideoCounts(), look.start_s, look.end_s
        ):
            shown += 1
            if picture is not None:
                luma = picture.luma
                found += any(_sees(detector, luma, share) for share in SMALLEST)
    except Unusable as error:
        return str(error)
    return found / shown


def crashed(look: Look) -> str:
    """The result for a recording that ends the process that decodes it."""
    return f"{look.path}: decoding it ended the process"


def _sees(detector: Detector, luma: np.ndarray, share: float) -> bool:
    """Whether there is a face of at least this share of the picture's shorter side."""
    return bool(detector.scan(luma, share * min(luma.shape)))
