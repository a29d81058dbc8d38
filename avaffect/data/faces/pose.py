"""Head pose: yaw, pitch and roll, from five landmarks or from a table.

A generic face (below) is fitted to the landmarks in perspective, for a camera at about 1.4 m that
points at the face; the angles are relative to the line of sight. Faces differ from the generic one,
and five points determine depth poorly: for a person, yaw and pitch may be wrong by some 5 degrees;
roll is more exact.
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
from avaffect.data.tables.texts import content_of

# Near-frontal faces, to which Shukla et al. restrict LRW.
WITHIN = 10.0
# Millimetres from the middle between the eyes: to the right of the picture, down, away from the
# camera. In the order of face_track: right eye (of the person), left eye, tip of the nose, right
# and left corner of the mouth. Eyes are 63 mm apart; the places of nose and mouth, across and down,
# are YuNet's, a mean over 28 videos of people who look at the camera; depths are those of an
# average adult.
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
# The camera's focal length in widths of the face's box: a large distance, as in most videos.
FOCAL = 10.0
ANGLES = ("yaw", "pitch", "roll")


class Pose(NamedTuple):
    """Degrees. yaw: positive if the nose points to the right of the picture; pitch: if it points
    up; roll: if the head is tilted clockwise in the picture."""

    yaw: float
    pitch: float
    roll: float

    def within(self, degrees: float) -> bool:
        """Whether no angle is larger in absolute value."""
        return max(map(abs, self)) <= degrees


def estimate(landmarks: np.ndarray, width: float) -> Pose | None:
    """The pose of a face by its landmarks (5, 2); width: of its box, in the same pixels. None if no
    pose fits."""
    points = np.ascontiguousarray(landmarks, dtype=np.float64)
    x, y = points.mean(axis=0)
    focal = FOCAL * width
    camera = np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]])
    across = max(float(np.ptp(points, axis=0).max()), 1e-6)
    away = focal * np.ptp(FACE_MM[:, 1]) / across
    # The fit starts at the frontal view: two poses fit five points that are nearly in a plane, and
    # one of them is a face seen from behind.
    start = np.zeros((3, 1)), np.array([[0.0], [0.0], [away]])
    # Imported here, as a table of poses is read without it.
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
    """The median pose over the steps of a face_track (T, 16) with landmarks; None without any."""
    rows = track[np.isfinite(track[:, LANDMARKS]).all(axis=1) & (track[:, WIDTH] > 0)]
    found = (estimate(row[LANDMARKS].reshape(5, 2), float(row[WIDTH])) for row in rows)
    poses = [pose for pose in found if pose is not None]
    return Pose(*np.median(poses, axis=0).tolist()) if poses else None


@dataclass
class Poses:
    """Poses by id, and by the path of a video. path, content_id: of the file with the poses."""

    path: Path
    content_id: str
    by_id: dict[str, Pose] = field(default_factory=dict)
    by_name: dict[str, list[tuple[tuple[str, ...], Pose]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def of(self, identifier: str, film: str = "") -> Pose | None:
        """The pose by id, otherwise by the path of the video: suffixes are ignored, and so are
        leading folders that only one of the two paths has. Raises DataError if several match."""
        if identifier in self.by_id:
            return self.by_id[identifier]
        parts = _parts(film)
        found = [
            (named, pose) for named, pose in self.by_name.get(parts[-1], ()) if _fit(named, parts)
        ]
        if len(found) > 1:
            raise DataError(
                f"{self.path}: {film} matches {'/'.join(found[0][0])} and {'/'.join(found[1][0])}; "
                "give videos with more of their folders, or by id"
            )
        return found[0][1] if found else None


def _parts(film: str) -> tuple[str, ...]:
    return PurePosixPath(with_slashes(film)).with_suffix("").parts if film else ("",)


def _fit(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]


def read_poses(path: Path) -> Poses:
    """Poses of a store with landmarks, or of a table with the columns id or file, yaw, pitch, roll.

    Raises DataError for a store without landmarks, a table without these columns, an angle that is
    no number, or a duplicate.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a store or a table of poses")
    return _of_store(Store(path)) if is_store(path) else _of_table(path)


def _of_store(store: Store) -> Poses:
    if FACE_TRACK not in store.streams:
        raise DataError(f"{store.path} has no faces: preprocess videos with --faces yunet")
    if store.streams[FACE_TRACK].made.get("detector") != "yunet":
        raise DataError(
            f"{store.path} has no landmarks: `avaffect preprocess --faces yunet` detects them"
        )
    poses = Poses(store.path, store.content_id)
    for row, identifier in enumerate(store.ids):
        pose = pose_of_track(store.read(FACE_TRACK, row))
        if pose is not None:
            poses.by_id[identifier] = pose
    return poses


def _of_table(path: Path) -> Poses:
    table = read_table(path, ANGLES)
    poses = Poses(path, content_id(content_of(path).hex()))
    written = table.numbers(ANGLES)
    angles = zip(*(written.of(table.column(name)) for name in ANGLES), strict=True)
    rows = table.dictionaries(("id", "file", *ANGLES))
    for (line, row), values in zip(rows, angles, strict=True):
        if "id" not in row and "file" not in row:
            raise DataError(f"{path} needs a column 'id' or 'file'")
        if None in values:
            given = ", ".join(row[name] for name in ANGLES)
            raise DataError(f"{path}, line {line}: {given}: an angle is not a number")
        # None if an angle is empty.
        pose = Pose(*values) if np.isfinite(values).all() else None
        if row.get("id"):
            if row["id"] in poses.by_id:
                raise DataError(f"{path}, line {line}: the id {row['id']} occurs twice")
            if pose is not None:
                poses.by_id[row["id"]] = pose
        elif row.get("file") and pose is not None:
            parts = _parts(row["file"])
            poses.by_name[parts[-1]].append((parts, pose))
    return poses
