"""Where faces look: from projected landmarks, from a real film, from tables; and `select` by it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import invoke

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.faces.options import COLUMNS, FaceOptions
from avaffect.data.faces.pose import FACE_MM, Pose, estimate, pose_of_track, read_poses
from avaffect.data.store.writer import store_writer

WIDTH = 120.0


def project(yaw: float, pitch: float, roll: float, away_mm: float = 1400.0) -> np.ndarray:
    """(5, 2) pixels of the generic face, turned about its own middle and seen from far away."""
    points = FACE_MM - FACE_MM.mean(axis=0)
    # Turned one axis after the other, by OpenCV's rotations about x (right), y (down), z (away).
    for axis, degrees in (((1, 0, 0), -pitch), ((0, 1, 0), -yaw), ((0, 0, 1), roll)):
        turn = cv2.Rodrigues(np.radians(degrees) * np.array(axis, dtype=float))[0]
        points = points @ turn.T
    points += np.array([0.0, 0.0, away_mm])
    return points[:, :2] / points[:, 2:] * (10 * WIDTH) + np.array([320.0, 200.0])


def track_of(poses: list[tuple[float, float, float] | None]) -> np.ndarray:
    """A face_track (T, 16); None is a frame without a face."""
    rows = np.zeros((len(poses), len(COLUMNS)), np.float32)
    rows[:, 4:14] = np.nan
    for row, pose in zip(rows, poses):
        if pose is not None:
            row[:4], row[4:14], row[15] = (260, 150, WIDTH, 140), project(*pose).ravel(), 1
    return rows


def test_known_angles_are_found_again():
    turns = itertools.product((-50, -10, 0, 25, 50), (-35, 0, 10, 35), (-40, 0, 15))
    for yaw, pitch, roll in turns:
        found = estimate(project(yaw, pitch, roll), WIDTH)
        np.testing.assert_allclose(found, (yaw, pitch, roll), atol=0.1)


def test_signs_are_those_of_the_picture():
    def nose_from_eyes(points):
        return points[2] - points[:2].mean(axis=0)

    ahead = nose_from_eyes(project(0, 0, 0))
    assert nose_from_eyes(project(20, 0, 0))[0] > ahead[0] + 5
    assert nose_from_eyes(project(0, 20, 0))[1] < ahead[1] - 5
    right, left = project(0, 0, 20)[:2]
    # Clockwise: the person's left eye, at the right of the picture, is lower.
    assert left[1] > right[1] + 5


def test_distance_and_place_in_the_picture_hardly_matter():
    far = estimate(project(20, -10, 5, away_mm=5000) + np.array([-300, 150]), WIDTH * 1400 / 5000)
    np.testing.assert_allclose(far, (20, -10, 5), atol=1.0)
    near = estimate(project(20, -10, 5, away_mm=700), WIDTH * 2)
    np.testing.assert_allclose(near, (20, -10, 5), atol=1.0)


def test_an_utterance_has_the_median_of_its_frames():
    track = track_of([(0, 0, 0), None, (4, 8, -2), (50, 40, 30), (6, 2, 0), (5, 9, 1)])
    np.testing.assert_allclose(pose_of_track(track), (5, 8, 0), atol=0.1)
    assert pose_of_track(track_of([None, None])) is None
    assert pose_of_track(np.empty((0, 16), np.float32)) is None
    assert Pose(10.0, -10.0, 3.0).within(10.0) and not Pose(0.0, -10.1, 0.0).within(10.0)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    items = [
        {"id": f"c_{name}", "media": f"{part}/{name}.mp4", "labels": {}}
        for part, name in (("a", "one"), ("a", "two"), ("b", "three"), ("b", "four"))
    ]
    path = tmp_path / "c.jsonl"
    manifest.write(path, manifest.new_header("corpus", base="."), items)
    return path


def store_of(path: Path, poses: dict, detector: str = "yunet") -> Path:
    spec = FaceOptions(detector=detector).streams(None)["face_track"]
    with store_writer(path, {}, streams={"face_track": spec}) as writer:
        for identifier, pose in poses.items():
            frames = [pose] * 3 if pose else []
            writer.add(identifier, streams={"face_track": track_of(frames)})
    return path


def kept(folder: Path, *options: object, status: int = 0) -> tuple[list[str], str]:
    found = invoke(folder, "select", "c.jsonl", *options, status=status)
    records = [json.loads(line) for line in found.stdout.splitlines()]
    return [r["id"] for r in records if r["kind"] == "item"], found.stderr


def test_select_by_the_landmarks_of_a_store(corpus, tmp_path):
    store_of(
        tmp_path / "s.h5",
        {"c_one": (3, -9, 2), "c_two": (0, 0, 11), "c_three": None, "other": (0, 0, 0)},
    )
    ids, said = kept(tmp_path, "--poses", "s.h5")
    assert ids == ["c_one"]
    assert "left out: 1 turned by more than 10 degrees" in said
    assert "left out: 2 without a pose in s.h5: c_three, c_four" in said
    ids, said = kept(tmp_path, "--poses", "s.h5", "--within", 12)
    assert ids == ["c_one", "c_two"] and "turned by" not in said
    out = ("--poses", "s.h5", "--within", 12, "-o", "o.jsonl")
    kept(tmp_path, *out)
    assert "up to date" in kept(tmp_path, *out)[1]
    made = manifest.read(tmp_path / "o.jsonl").header.to_dict()["provenance"]
    assert made["settings"]["within"] == 12.0
    assert [given["role"] for given in made["inputs"]] == ["manifest", "poses"]
    kept(tmp_path, "--poses", "s.h5", "-o", "o.jsonl", status=73)


def test_select_by_a_table(corpus, tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("id,yaw,pitch,roll\nc_two, 1,2,3\nc_one,-30,0,0\nc_four,,0,0\n")
    ids, said = kept(tmp_path, "--poses", "p.csv")
    assert ids == ["c_two"] and "2 without a pose in p.csv: c_three, c_four" in said
    text = "roll;yaw;pitch;file\n0;0;1,5;/data/a/one.avi\n0;0;20,5;b\\three.mp4\n0;0;0;four\n"
    table.write_bytes(text.encode("utf-16"))
    assert kept(tmp_path, "--poses", "p.csv")[0] == ["c_one", "c_four"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,yaw,pitch\nc_one,0,0\n", "no column 'roll'"),
        ("name,yaw,pitch,roll\nc_one,0,0,0\n", "column 'id' or 'file'"),
        ("id,yaw,pitch,roll\nc_one,0,x,0\n", "line 2: 0, x, 0: "),
        ("id,yaw,pitch,roll\nc_one,0,0,0\nc_one,1,0,0\n", "line 3: the id c_one "),
        ("id,yaw,pitch,roll\nd_one,0,0,0\n", "has the pose of none of the 4 items"),
        ("file,yaw,pitch,roll\nx/a/one,0,0,0\ny/a/one,0,0,0\n", "matches x/a/one and y/a/one"),
    ],
)
def test_tables_that_cannot_be_used(corpus, tmp_path, text, said):
    (tmp_path / "p.csv").write_text(text)
    assert said in kept(tmp_path, "--poses", "p.csv", status=65)[1]


def test_stores_without_landmarks_and_options_that_make_no_sense(corpus, tmp_path):
    store_of(tmp_path / "haar.h5", {"c_one": (0, 0, 0)}, "haar")
    assert "--faces yunet" in kept(tmp_path, "--poses", "haar.h5", status=65)[1]
    with store_writer(tmp_path / "empty.h5", {}) as writer:
        writer.add("c_one")
    with pytest.raises(DataError, match="has no faces"):
        read_poses(tmp_path / "empty.h5")
    with pytest.raises(DataError, match="no such file"):
        read_poses(tmp_path / "none.csv")
    assert "--within needs --poses" in kept(tmp_path, "--within", 5, status=2)[1]
    (tmp_path / "p.csv").write_text("id,yaw,pitch,roll\nc_one,0,0,0\n")
    wrong = ("--poses", "p.csv", "--within", -1)
    assert "--within -1: at least 0" in kept(tmp_path, *wrong, status=2)[1]


def test_people_who_look_at_the_camera_are_kept(recordings, tmp_path):
    model = recordings.parent / "models" / "yunet_n_640_640.onnx"
    if not model.is_file():
        pytest.skip(f"no YuNet model at {model}")
    (tmp_path / "grid").mkdir()
    for name in ("bbaf2n", "lwbsza"):
        film = recordings / "video_grid" / f"{name}.mpg"
        (tmp_path / "grid" / film.name).write_bytes(film.read_bytes())
    invoke(tmp_path, "manifest", "grid", "grid", "-o", "c.jsonl")
    invoke(tmp_path, "preprocess", "c.jsonl", "--faces", "yunet", "--face-model", model,
           "--fps", 5, "-j", 1, "-o", "s.h5")  # fmt: skip
    poses = read_poses(tmp_path / "s.h5")
    assert max(map(abs, poses.of("grid_bbaf2n"))) < 7
    assert len(kept(tmp_path, "--poses", "s.h5")[0]) == 2
    assert kept(tmp_path, "--poses", "s.h5", "--within", 0.5)[0] == []
