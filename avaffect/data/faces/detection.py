"""Face detection in one picture: OpenCV's cascade (Viola and Jones, CVPR 2001), or YuNet (Wu, Peng
and Yu, Machine Intelligence Research 2023) by OpenCV's FaceDetectorYN.

Boxes are rows of numbers: x and y of the centre, width, height and, from YuNet, x and y of the
right eye, left eye, nose, right and left mouth corner, all in pixels of the whole picture.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avaffect.core import faults
from avaffect.core.errors import DataError
from avaffect.data.faces.options import FaceOptions

WHERE = "OpenCV Zoo has one, face_detection_yunet (github.com/opencv/opencv_zoo)"
# Margin of the search around a known face, in widths of its box: if tracking is certain of its
# place, and if it is not.
AROUND, FAR_AROUND = 0.2, 0.5
# Haar: the window of the cascade, and sizes in pixels to which a face is scaled for a search
# nearby. The cascade tries sizes in steps: searches at different sizes make the box more exact.
# Not by cv2.data: where memory was short as cv2 was imported, it is not there, without an error.
_CASCADE = str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml")
WINDOW = 24
STEP, NEAR_STEP = 1.2, 1.1
NEIGHBOURS = 3
NEAR_NEIGHBOURS = 3
NEAR_FACES = (29, 33, 31)
NEAR_SMALLEST, NEAR_LARGEST = 0.8, 1.25
# YuNet.
SMALLEST_FACE, LONGEST_SIDE = 16, 640
NEAR_SIDE = 96
THRESHOLD = 0.6
NEAR_OVERLAP = 0.3


@dataclass(frozen=True)
class Detection:
    """box: see the head of this file; score: number of agreeing neighbours (Haar), 0..1 (YuNet)."""

    box: np.ndarray
    score: float


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    height = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


class Haar:
    """OpenCV's frontal face cascade on reduced pictures."""

    columns = 4

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(_CASCADE)

    def scan(self, luma: np.ndarray, smallest: float) -> list[Detection]:
        """All faces of a picture that are at least `smallest` pixels wide."""
        scale = min(WINDOW / smallest, 1.0)
        window = max(round(smallest * scale), WINDOW)
        return self._detect(reduced(luma, scale), scale, 0, 0, STEP, NEIGHBOURS, window, 0)

    def near(self, luma: np.ndarray, box: np.ndarray, around: float, look: int) -> Detection | None:
        """The face near `box` of about its size. look: number of earlier searches for this face."""
        for size in (NEAR_FACES[(look + trial) % len(NEAR_FACES)] for trial in range(2)):
            found = self._near(luma, box, around, size)
            if found is not None:
                return found
        return None

    def _near(
        self, luma: np.ndarray, box: np.ndarray, around: float, size: int
    ) -> Detection | None:
        x0, y0, x1, y1 = surroundings(luma, box, around)
        scale = min(size / box[2], 1.0)
        if min(x1 - x0, y1 - y0) * scale < WINDOW:
            return None
        side = box[2] * scale
        smallest = max(round(NEAR_SMALLEST * side), WINDOW)
        found = self._detect(
            reduced(luma[y0:y1, x0:x1], scale), scale, x0, y0, NEAR_STEP, NEAR_NEIGHBOURS,
            smallest, max(round(NEAR_LARGEST * side), smallest + 2),
        )  # fmt: skip
        return nearest(found, box)

    def _detect(
        self, picture: np.ndarray, scale: float, x0: int, y0: int, step: float, neighbours: int,
        smallest: int, largest: int,
    ) -> list[Detection]:  # fmt: skip
        boxes, counts = self._cascade.detectMultiScale2(
            picture, step, neighbours, 0, (smallest, smallest), (largest, largest)
        )
        return [
            Detection(
                np.array(
                    [x0 + (x + w / 2) / scale, y0 + (y + h / 2) / scale, w / scale, h / scale]
                ),
                float(count),
            )
            for (x, y, w, h), count in zip(boxes, counts)
        ]


class YuNet:
    """YuNet on reduced pictures, by a file of its weights."""

    columns = 14

    def __init__(self, model: Path) -> None:
        self._detector = _load_yunet(model, LONGEST_SIDE)
        self._near = _load_yunet(model, NEAR_SIDE)

    def scan(self, luma: np.ndarray, smallest: float) -> list[Detection]:
        """All faces of a picture that are at least `smallest` pixels wide."""
        scale = min(SMALLEST_FACE / smallest, LONGEST_SIDE / max(luma.shape), 1.0)
        picture = reduced(luma, scale)
        self._detector.setInputSize((picture.shape[1], picture.shape[0]))
        return _yunet_faces(self._detector, picture, scale, 0, 0)

    def near(self, luma: np.ndarray, box: np.ndarray, around: float, look: int) -> Detection | None:
        """The face near `box` of about its size. look: number of earlier searches for this face."""
        x0, y0, x1, y1 = surroundings(luma, box, around)
        scale = NEAR_SIDE / max(x1 - x0, y1 - y0, 1)
        part = luma[y0:y1, x0:x1]
        if not part.size:
            return None
        # One input size, as another one rebuilds the network.
        picture = np.zeros((NEAR_SIDE, NEAR_SIDE), np.uint8)
        small = reduced(part, scale)[:NEAR_SIDE, :NEAR_SIDE]
        picture[: small.shape[0], : small.shape[1]] = small
        return nearest(_yunet_faces(self._near, picture, scale, x0, y0), box)


Detector = Haar | YuNet


@functools.lru_cache(maxsize=2)
def load_detector(options: FaceOptions) -> Detector:
    """The detector of `options`, loaded once in a process; see `check_model`."""
    # Recordings are divided among processes: threads of OpenCV would compete with them.
    cv2.setNumThreads(1)
    if options.detector == "haar":
        return Haar()
    assert options.model is not None
    return YuNet(options.model)


def has_cascade() -> bool:
    """Whether OpenCV brings the cascade of `Haar`, and can read it."""
    return not cv2.CascadeClassifier(_CASCADE).empty()


def check_model(model: Path | None) -> None:
    """Raises DataError unless `model` is a YuNet that loads and runs."""
    if model is None:
        raise DataError(f"--faces yunet needs --face-model FILE; {WHERE}")
    if not model.is_file():
        raise DataError(f"{model}: no such face model; {WHERE}")
    blank = np.zeros((NEAR_SIDE, NEAR_SIDE, 3), np.uint8)
    try:
        _, found = _load_yunet(model, NEAR_SIDE).detect(blank)
    except cv2.error as error:
        faults.check_machine(model, error)
        raise DataError(f"{model} is not a YuNet model that OpenCV can read; {WHERE}") from error
    if found is not None and found.shape[1] != 15:
        raise DataError(f"{model} is not a YuNet model: it gives no landmarks; {WHERE}")


def _load_yunet(model: Path, side: int) -> cv2.FaceDetectorYN:
    return cv2.FaceDetectorYN.create(str(model), "", (side, side), THRESHOLD)


def _yunet_faces(
    detector: cv2.FaceDetectorYN, picture: np.ndarray, scale: float, x0: int, y0: int
) -> list[Detection]:
    _, rows = detector.detect(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    found = []
    for row in () if rows is None else rows.astype(np.float64):
        box = row[:14] / scale
        box[:2] += box[2:4] / 2
        box[0] += x0
        box[1] += y0
        box[4::2] += x0
        box[5::2] += y0
        found.append(Detection(box, float(row[14])))
    return found


def nearest(found: list[Detection], box: np.ndarray) -> Detection | None:
    """The face that overlaps `box` most, if it overlaps it enough."""
    best = max(found, key=lambda face: overlap(face.box, box), default=None)
    return best if best is not None and overlap(best.box, box) > NEAR_OVERLAP else None


def surroundings(luma: np.ndarray, box: np.ndarray, around: float) -> tuple[int, int, int, int]:
    """Corners (left, top, right, bottom) of `box` with a margin, within the picture."""
    height, width = luma.shape
    x, y = (0.5 + around) * box[2], (0.5 + around) * box[3]
    x0, x1 = (min(max(round(edge), 0), width) for edge in (box[0] - x, box[0] + x))
    y0, y1 = (min(max(round(edge), 0), height) for edge in (box[1] - y, box[1] + y))
    return x0, y0, x1, y1


def reduced(picture: np.ndarray, scale: float) -> np.ndarray:
    """A picture scaled down, by area averages, or up."""
    if scale == 1.0:
        return picture
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)
