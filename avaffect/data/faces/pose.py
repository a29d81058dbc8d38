"""Head pose: yaw, pitch and roll, from five landmarks or from a table.

Landmarks are matched with a generic face (below) by the perspective of a camera that looks straight
at the face, from about 1.4 m: what is measured is how the face is turned from the line of sight.
People's faces differ from the generic one, and five points say little of depth: for a person, yaw
and pitch may be wrong by some 5 degrees; roll is better.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id
from avaffect.core.streams import FACE_TRACK
from avaffect.data.artifacts import is_store
from avaffect.data.faces.options import COLUMNS
from avaffect.data.store.reader import Store
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.reader import read_table

# Near-frontal, as Shukla and others restrict LRW.
WITHIN = 10.0
# Millimetres, from the middle between the eyes: to the right of the picture, down, away from the
# camera. In the order of face_track: right eye (of the person), left eye, tip of the nose, right
# corner of the mouth, left one. Eyes are 63 mm apart; nose and mouth lie, across and down, where
# YuNet finds them, as the mean of 28 films of people who look at the camera; depths are an average
# adult's.
FACE_MM = np.array(
    [
        (-31.5, 0.0, 0.0),
        (31.5, 0.0, 0.0),
        (0.0, 36.0, -30.0),
        (-27.0, 66.0, -6.0),
        (27.0, 66.0, -6.0),
    ]
)
LANDMARKS = slice(COLUMNS.index("right_eye_x"), COLUMNS.index("left_mouth_y") + 1)
WIDTH = COLUMNS.index("width")
# The camera's focal length, in widths of the face's box: a long way off, as films are taken.
FOCAL = 10.0
ANGLES = ("yaw", "pitch", "roll")


class Pose(NamedTuple):
    """Degrees. yaw: above 0 where the nose points to the right of the picture; pitch: where it
    points up; roll: where the head leans clockwise, as the picture shows it."""

    yaw: float
    pitch: float
    roll: float

    def within(self, degrees: float) -> bool:
        """Whether no angle is larger, to either side."""
        return max(map(abs, self)) <= degrees


def estimate(landmarks: np.ndarray, width: float) -> Pose | None:
    """The pose of a face whose landmarks (5, 2) lie in a picture; width: of its box, in the same
    pixels. None where nothing fits them."""
    points = np.ascontiguousarray(landmarks, dtype=np.float64)
    x, y = points.mean(axis=0)
    focal = FOCAL * width
    camera = np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]])
    across = max(float(np.ptp(points, axis=0).max()), 1e-6)
    away = focal * np.ptp(FACE_MM[:, 1]) / across
    # From the frontal view: five points nearly in a plane fit two poses, and a face that looks away
    # from the camera is none.
    start = np.zeros((3, 1)), np.array([[0.0], [0.0], [away]])
    # A table of poses is read without it.
    import cv2

    fits, turned, _ = cv2.solvePnP(
        FACE_MM, points, camera, None, *start, useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE
    )
    if not fits or not np.isfinite(turned).all():
        return None
    rotation = cv2.Rodrigues(turned)[0]
    # Rotation = roll about the line of sight after yaw about the vertical after pitch.
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = -np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return Pose(*np.degrees([yaw, pitch, roll]).tolist())


def pose_of_track(track: np.ndarray) -> Pose | None:
    """The median pose of the frames of a face_track (T, 16) that have landmarks; None without."""
    rows = track[np.isfinite(track[:, LANDMARKS]).all(axis=1) & (track[:, WIDTH] > 0)]
    found = (estimate(row[LANDMARKS].reshape(5, 2), float(row[WIDTH])) for row in rows)
    poses = [pose for pose in found if pose is not None]
    return Pose(*np.median(poses, axis=0).tolist()) if poses else None


@dataclass
class Poses:
    """By id, and by the name of a film. path: where they come from; content_id: of that file."""

    path: Path
    content_id: str
    by_id: dict[str, Pose] = field(default_factory=dict)
    by_name: dict[str, list[tuple[tuple[str, ...], Pose]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def of(self, identifier: str, film: str = "") -> Pose | None:
        """By id, else by the film's path: suffixes do not count, nor do folders that only one of
        the two paths names. Raises DataError where it may be one or another."""
        if identifier in self.by_id:
            return self.by_id[identifier]
        parts = _parts(film)
        found = [
            (named, pose) for named, pose in self.by_name.get(parts[-1], ()) if _fit(named, parts)
        ]
        if len(found) > 1:
            raise DataError(
                f"{self.path}: {film} may be {'/'.join(found[0][0])} or {'/'.join(found[1][0])}; "
                "name films with more of their folders, or by id"
            )
        return found[0][1] if found else None


def _parts(film: str) -> tuple[str, ...]:
    return PurePosixPath(with_slashes(film)).with_suffix("").parts if film else ("",)


def _fit(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]


def read_poses(path: Path) -> Poses:
    """Poses of a store with landmarks, or of a table with the columns id or file, yaw, pitch, roll.

    Raises DataError where a store has no landmarks or a table no such columns, an angle is no
    number, or something is there twice.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such store or table of poses")
    return _of_store(Store(path)) if is_store(path) else _of_table(path)


def _of_store(store: Store) -> Poses:
    if FACE_TRACK not in store.streams:
        raise DataError(f"{store.path} holds no faces: its films were not preprocessed with faces")
    if store.streams[FACE_TRACK].made.get("detector") != "yunet":
        raise DataError(
            f"{store.path} holds no landmarks: `avaffect preprocess --faces yunet` finds them"
        )
    poses = Poses(store.path, store.content_id)
    for row, identifier in enumerate(store.ids):
        pose = pose_of_track(store.read(FACE_TRACK, row))
        if pose is not None:
            poses.by_id[identifier] = pose
    return poses


def _of_table(path: Path) -> Poses:
    table = read_table(path, ANGLES)
    poses = Poses(path, content_id(path.read_bytes().hex()))
    written = table.numbers(ANGLES)
    angles = zip(*(written.of(table.column(name)) for name in ANGLES), strict=True)
    rows = table.dictionaries(("id", "file", *ANGLES))
    for (line, row), values in zip(rows, angles, strict=True):
        if "id" not in row and "file" not in row:
            raise DataError(f"{path} has neither a column 'id' nor 'file'")
        if None in values:
            given = ", ".join(row[name] for name in ANGLES)
            raise DataError(f"{path}, line {line}: {given}: an angle is no number")
        # None where an angle is not given.
        pose = Pose(*values) if np.isfinite(values).all() else None
        if row.get("id"):
            if row["id"] in poses.by_id:
                raise DataError(f"{path}, line {line}: the id {row['id']} is there twice")
            if pose is not None:
                poses.by_id[row["id"]] = pose
        elif row.get("file") and pose is not None:
            parts = _parts(row["file"])
            poses.by_name[parts[-1]].append((parts, pose))
    return poses
