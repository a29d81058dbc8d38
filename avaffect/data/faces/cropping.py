"""Face crops: the square of a box, or aligned to the mean face."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from avaffect.data.decoding.video import Picture
from avaffect.data.faces.options import FaceOptions

# Eyes, nose and mouth corners of the mean face in a square of side 1, in YuNet's order:
# InsightFace's reference points for 112 x 112 (Deng et al., ArcFace, CVPR 2019).
MEAN_FACE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
              [70.7299, 92.2041]]) / 112
)  # fmt: skip

# Coefficients (a, b, c, d) of x' = a x - b y + c, y' = b x + a y + d, from the picture to the crop.
Similarity = tuple[float, float, float, float]


def transform(box: Sequence[float], options: FaceOptions) -> Similarity:
    """The similarity from the picture to the crop, for a box of `detection`."""
    size = options.size
    if options.align and len(box) > 4:
        return _aligned(np.array(box[4:14]).reshape(5, 2), options)
    scale = size / (max(box[2], box[3]) * (1 + 2 * options.margin))
    return scale, 0.0, size / 2 - scale * box[0], size / 2 - scale * box[1]


def _aligned(landmarks: np.ndarray, options: FaceOptions) -> Similarity:
    """The similarity that maps landmarks to the mean face with the least squared error."""
    goal = (MEAN_FACE + options.margin) * (options.size / (1 + 2 * options.margin))
    # With points as complex numbers a similarity is z -> s z + t.
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    goals = goal[:, 0] + 1j * goal[:, 1]
    centred = points - points.mean()
    turn = np.vdot(centred, goals - goals.mean()) / max(np.vdot(centred, centred).real, 1e-9)
    shift = goals.mean() - turn * points.mean()
    return turn.real, turn.imag, shift.real, shift.imag


def cut(
    pictures: Sequence[Picture], similarities: Sequence[Similarity], options: FaceOptions
) -> np.ndarray:
    """(N, H, W, channels) uint8 crops; beyond a picture its edge is repeated, or all is black where
    it is padded."""
    height, width, channels = options.shape
    shape = (len(pictures), height, width)
    crops = np.empty((*shape, channels) if options.colour else shape, np.uint8)
    border = cv2.BORDER_CONSTANT if options.pad else cv2.BORDER_REPLICATE
    for picture, similarity, crop in zip(pictures, similarities, crops):
        if options.colour:
            warp(picture.rgb, similarity, (width, height), crop, border)
        else:
            warp(picture.luma, similarity, (width, height), crop, border)
            picture.grey(crop, crop)
    return crops.reshape(len(pictures), *options.shape)


def warp(
    source: np.ndarray, similarity: Similarity, size: tuple[int, int],
    out: np.ndarray | None = None, border: int = cv2.BORDER_REPLICATE,
) -> np.ndarray:  # fmt: skip
    """(height, width, ...) of `source` under a similarity, with area averages where it is reduced.
    size: width and height; out: array for the result; border: OpenCV's, beyond the source."""
    a, b, c, d = similarity
    factor = min(int(1 / math.hypot(a, b) + 0.3), *source.shape[:2])
    if factor > 1:
        # Bilinear sampling alone would skip pixels; whole factors are fast.
        source, x0, y0 = _reduced(source, similarity, size, factor)
        middle = (factor - 1) / 2
        c += a * (x0 + middle) - b * (y0 + middle)
        d += b * (x0 + middle) + a * (y0 + middle)
    else:
        factor = 1
    # Pixel k of a picture covers k to k + 1; in OpenCV it is at k.
    x_shift, y_shift = 0.5 * (a - b) + c - 0.5, 0.5 * (b + a) + d - 0.5
    matrix = np.array([[a * factor, -b * factor, x_shift], [b * factor, a * factor, y_shift]])
    return cv2.warpAffine(source, matrix, size, out, cv2.INTER_LINEAR, borderMode=border)


def _reduced(
    source: np.ndarray, similarity: Similarity, size: tuple[int, int], factor: int
) -> tuple[np.ndarray, int, int]:
    """The part of the source under the crop, with a margin of one pixel of the crop, reduced; and
    its place."""
    a, b, c, d = similarity
    square = a * a + b * b
    right, down = size[0] / 2 - c, size[1] / 2 - d
    reach = (abs(a) + abs(b)) / square * (max(size) / 2 + 1) + 1
    x = (a * right + b * down) / square
    y = (a * down - b * right) / square
    height, width = source.shape[:2]
    x0, columns = _span(x - reach, x + reach, width, factor)
    y0, rows = _span(y - reach, y + reach, height, factor)
    part = source[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
    return cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), x0, y0


def _span(start: float, stop: float, length: int, factor: int) -> tuple[int, int]:
    """The first pixel of a part within `length` pixels, and its length in units of `factor`."""
    first = min(max(math.floor(start), 0), length - factor)
    last = max(min(math.ceil(stop), length), first + factor)
    return first, (last - first) // factor
