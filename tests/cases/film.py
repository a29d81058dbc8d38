"""Pictures and sound that are mirrored, squeezed, paused, repeated or out of step."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from films import MATRICES, set_matrix, write_film

from avaffect.data.faces.film import decode_faces
from avaffect.data.faces.options import FaceOptions
from cases import SHARED, Case, Seen

GRID = "data/video_grid/bbaf2n.mpg"
FRAMES = 20
# Levels of grey by which crops may differ for having been encoded, and scaled, once more.
CLOSE = 4.0
# A cascade moves its boxes by a tenth then: shared area over that of both.
OVERLAP = 0.75


def grid_pictures() -> list[np.ndarray]:
    """(288, 360) grey pictures of a real talking face."""
    with av.open(str(SHARED / GRID)) as container:
        frames = (frame for frame, _ in zip(container.decode(video=0), range(FRAMES)))
        return [frame.to_ndarray(format="gray") for frame in frames]


def faces(path: Path, detector: str) -> tuple[np.ndarray, np.ndarray]:
    """(T, 96, 96) float crops that `preprocess` makes, and the mean box: x, y, width, height."""
    found = decode_faces(path, path.with_suffix(""), FaceOptions(detector=detector, size=96))
    crops = np.fromfile(found.streams["face"], np.uint8).reshape(-1, 96, 96)
    track = np.fromfile(found.streams["face_track"], "<f4").reshape(len(crops), -1)
    return crops.astype(float), track[:, :4].mean(axis=0)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(one[2:]) + np.prod(other[2:]) - shared)


def compare(folder: Path, change: Callable[[Path, list[np.ndarray]], Path]) -> Seen:
    """The middle of a changed film, and the face that is found, beside those of the plain one."""
    pictures = grid_pictures()
    plain, changed = write_film(folder / "plain.mp4", pictures), folder / "changed.mp4"
    change(changed, pictures)
    middles = [faces(path, "none")[0] for path in (plain, changed)]
    boxes = [faces(path, "haar")[1] for path in (plain, changed)]
    apart = float(np.abs(middles[0] - middles[1]).mean())
    same = overlap(*boxes)
    words = f"crops differ by {apart:.1f} grey levels, boxes overlap by {100 * same:.0f} %"
    return Seen(words, apart < CLOSE and same > OVERLAP)


def mirrored(matrix: tuple[int, ...], path: Path, pictures: list[np.ndarray]) -> Path:
    stored = [np.ascontiguousarray(MATRICES[matrix](picture)) for picture in pictures]
    return set_matrix(write_film(path, stored), matrix)


def squeezed(
    aspect: Fraction, matrix: tuple[int, ...], path: Path, pictures: list[np.ndarray]
) -> Path:
    """Stored with pixels that are `aspect` times as wide as high."""
    stored = [np.ascontiguousarray(MATRICES[matrix](picture)) for picture in pictures]
    height, width = stored[0].shape
    size = (2 * round(width / max(aspect, 1) / 2), 2 * round(height / max(1 / aspect, 1) / 2))
    stored = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in stored]
    return set_matrix(write_film(path, stored, aspect=aspect), matrix)


MIRRORED = [
    Case("mirrored matrix", " ".join(map(str, matrix)), "as the plain film: < 4, > 75 %",
         partial(compare, change=partial(mirrored, matrix)), GRID)
    for matrix in MATRICES
]  # fmt: skip
SQUEEZED = [
    Case("pixels that are not square", f"{aspect}{turned}", "as the plain film: < 4, > 75 %",
         partial(compare, change=partial(squeezed, Fraction(aspect), matrix)), GRID)
    for aspect, matrix, turned in (
        ("4/3", (1, 0, 0, 1), ""), ("64/45", (1, 0, 0, 1), ""), ("2", (1, 0, 0, 1), ""),
        ("1/2", (1, 0, 0, 1), ""), ("4/3", (0, 1, -1, 0), ", turned"),
    )
]  # fmt: skip

CASES: list[Case] = [*MIRRORED, *SQUEEZED]
