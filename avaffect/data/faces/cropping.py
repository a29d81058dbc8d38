"""Cutting a face out: a square of its box, or turned and scaled to the mean face."""

from __future__ import annotations

import math

import cv2
import numpy as np

from avaffect.data.faces.options import FaceOptions
from avaffect.data.video import Picture

# Eyes, nose and mouth corners of the mean face in a square of side 1, in YuNet's order:
# InsightFace's reference points for 112 x 112 (Deng et al., ArcFace, CVPR 2019).
MEAN_FACE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
              [70.7299, 92.2041]]) / 112
)  # fmt: skip

# x' = a x - b y + c, y' = b x + a y + d: from the source picture to the crop.
Similarity = tuple[float, float, float, float]


def transform(box: np.ndarray, options: FaceOptions) -> Similarity:
    """From the source picture to the crop, for a box of `detection`."""
    size = options.size
    if options.align and len(box) > 4:
        return _aligned(box[4:14].reshape(5, 2), options)
    scale = size / (max(box[2], box[3]) * (1 + 2 * options.margin))
    return scale, 0.0, size / 2 - scale * box[0], size / 2 - scale * box[1]


def _aligned(landmarks: np.ndarray, options: FaceOptions) -> Similarity:
    """The similarity that brings landmarks to the mean face with the least squared error."""
    goal = (MEAN_FACE + options.margin) * (options.size / (1 + 2 * options.margin))
    # Points as complex numbers: a similarity is z -> s z + t.
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    goals = goal[:, 0] + 1j * goal[:, 1]
    centred = points - points.mean()
    turn = np.vdot(centred, goals - goals.mean()) / max(np.vdot(centred, centred).real, 1e-9)
    shift = goals.mean() - turn * points.mean()
    return turn.real, turn.imag, shift.real, shift.imag


def cut(picture: Picture, similarity: Similarity, options: FaceOptions) -> np.ndarray:
    """(size, size) or (size, size, 3) uint8. What lies beyond the picture repeats its edge."""
    if options.colour:
        return warp(picture.rgb, similarity, options.size)
    return picture.grey(warp(picture.luma, similarity, options.size))


def warp(source: np.ndarray, similarity: Similarity, size: int) -> np.ndarray:
    """(size, size, ...) of `source` under a similarity, averaged where it is reduced."""
    a, b, c, d = similarity
    scale = math.hypot(a, b)
    # The part of the source that the square shows, with a pixel of the crop around it.
    centre = size / 2
    reach = (abs(a) + abs(b)) / scale**2 * (centre + 1) + 1
    x = (a * (centre - c) + b * (centre - d)) / scale**2
    y = (a * (centre - d) - b * (centre - c)) / scale**2
    height, width = source.shape[:2]
    x0 = min(max(math.floor(x - reach), 0), width - 1)
    y0 = min(max(math.floor(y - reach), 0), height - 1)
    x1 = max(min(math.ceil(x + reach), width), x0 + 1)
    y1 = max(min(math.ceil(y + reach), height), y0 + 1)
    factor = max(1, int(1 / scale + 0.3))
    columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
    if factor > 1 and columns and rows:
        # Bilinear sampling alone would skip pixels; exact factors are quick.
        part = source[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    else:
        factor, part = 1, source[y0:y1, x0:x1]
    # Pixel k of a picture covers k to k + 1; OpenCV puts it at k.
    middle = (factor - 1) / 2
    x_shift = a * (x0 + middle + 0.5) - b * (y0 + middle + 0.5) + c - 0.5
    y_shift = b * (x0 + middle + 0.5) + a * (y0 + middle + 0.5) + d - 0.5
    matrix = np.array([[a * factor, -b * factor, x_shift], [b * factor, a * factor, y_shift]])
    return cv2.warpAffine(
        part, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
