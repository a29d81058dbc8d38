"""Faces are found, followed, told apart and cut out."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import FACE, SIZE, face, scene, talking, write_video

from avaffect.core.errors import DataError
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import VideoCounts, read_pictures
from avaffect.data.faces.cropping import MEAN_FACE, transform, warp
from avaffect.data.faces.cuts import Cuts
from avaffect.data.faces.detection import check_model
from avaffect.data.faces.extraction import Faces, decode_faces
from avaffect.data.faces.options import ABSENT, COLUMNS, INTERPOLATED, SOURCES, FaceOptions
from avaffect.data.faces.path import Path as FacePath

HAAR = FaceOptions()
TIGHT = FaceOptions(margin=0)


def found_in(
    path: Path, options: FaceOptions = HAAR, **part: float
) -> tuple[Faces, np.ndarray, np.ndarray]:
    """Faces, crops (T, size, size, C) and tracks (T, 16)."""
    found = decode_faces(path, path.with_suffix(""), options, **part)
    shape = (-1, options.size, options.size, options.channels)
    crops = np.fromfile(found.streams["face"], np.uint8).reshape(shape)
    tracks = np.fromfile(found.streams["face_track"], "<f4").reshape(-1, len(COLUMNS))
    assert len(crops) == len(tracks) == found.counts["face_frames"]
    counted = [found.counts[f"faces_{name}"] for name in SOURCES]
    assert counted == np.bincount(tracks[:, -1].astype(int), minlength=4).tolist()
    seen = tracks[:, -1] != ABSENT
    assert not crops[~seen].any() and crops[seen].any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(tracks[~seen, :4], 0)
    assert np.isnan(tracks[~seen, 4:14]).all()
    assert found.sums.total[0] == crops[..., 0].sum(dtype=np.int64)
    assert found.sums.squares[0] == (crops[..., 0].astype(np.int64) ** 2).sum()
    # Nothing of what was tried is left.
    assert set(path.parent.glob(f"{path.stem}*")) == {path, *found.streams.values()}
    return found, crops, tracks


def centres(tracks: np.ndarray) -> np.ndarray:
    return tracks[:, :2] + tracks[:, 2:4] / 2


@pytest.mark.parametrize("step", [0.0, 0.8])
def test_a_moving_face_stays_in_its_box(tmp_path: Path, step: float) -> None:
    path = write_video(tmp_path / "a.mp4", talking(70, (12, 28), step))
    found, crops, tracks = found_in(path)
    assert found.counts["faces_absent"] == 0 and found.counts["face_frames"] == 70
    assert 0 < found.counts["faces_detected"] < 20 and found.seconds == 2.8
    true = np.array([[12 + step * n + FACE / 2, 28 + FACE / 2] for n in range(70)])
    assert np.abs(centres(tracks) - true).max() < 4
    assert np.ptp(tracks[:, 2]) < 6 and abs(np.median(tracks[:, 2]) - FACE) < 8
    # Nor does it tremble in its crops: each is like the one before, but for the mouth.
    eyes = crops[:, 15:50, :, 0].astype(float).reshape(70, -1)
    assert np.diag(np.corrcoef(eyes), 1).min() > 0.9


def test_quick_motion_is_followed(tmp_path: Path) -> None:
    times = np.arange(100) / 25
    x = 48 + 40 * np.sin(2 * np.pi * times)
    pictures = [scene([(place, 28)]) for place in x]
    _, _, tracks = found_in(write_video(tmp_path / "a.mp4", pictures))
    errors = np.abs(centres(tracks)[:, 0] - (x.round() + FACE / 2))
    assert (tracks[:, -1] != ABSENT).all() and np.median(errors) < 2 and errors.max() < 8


def hidden(frames: int) -> list[np.ndarray]:
    """The scene of `talking`, its face behind something like the wall."""
    pictures = talking(frames)
    for picture in pictures:
        picture[24:, 44:116] = 118
    return pictures


def room(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Before a window, by which one scene is known."""
    for picture in pictures:
        picture[:, :30], picture[:, 130:] = 240, 20
    return pictures


def test_faces_come_and_go_and_time_is_kept(tmp_path: Path) -> None:
    there = talking(40)
    for gap in (4, 9):
        pictures = hidden(21) + there + hidden(gap) + there + hidden(33) + there
        found, _, tracks = found_in(write_video(tmp_path / f"{gap}.mp4", room(pictures)))
        sources = tracks[:, -1]
        # What is shown while a face is away for longer is not known: absent.
        between = INTERPOLATED if gap == 4 else ABSENT
        expected = np.repeat([0, 1, between, 1, 0, 1], [21, 40, gap, 40, 33, 40])
        here = np.where(np.isin(sources, (1, 2)), 1, sources)
        assert len(here) == len(expected) and (here == expected).mean() > 0.97
        assert found.counts["faces_interpolated"] == (4 if gap == 4 else 0)
        assert not found.counts["cuts"]
    # Where a face returns elsewhere, nothing is made up between.
    pictures = talking(40, (10, 10)) + [scene()] * 4 + talking(40, (90, 50))
    found, _, tracks = found_in(write_video(tmp_path / "b.mp4", pictures))
    assert found.counts["faces_absent"] == pytest.approx(4, abs=1)
    assert not found.counts["faces_interpolated"]


def other(frames: int) -> list[np.ndarray]:
    """Somebody who looks otherwise: half of the face is dark."""
    pictures = talking(frames)
    for picture in pictures:
        half = picture[28 : 28 + FACE, 48 : 48 + FACE // 2]
        half[:] = half // 3 + 20
    return pictures


@pytest.mark.parametrize(("first", "kept"), [(40, (1, 0, 1)), (10, (0, 1, 0))])
def test_a_cut_to_somebody_else_brings_no_other_face(
    tmp_path: Path, first: int, kept: tuple[int, ...]
) -> None:
    one, two = room(talking(first)), other(30)
    found, _, tracks = found_in(write_video(tmp_path / "a.mp4", one + two + one))
    seen = tracks[:, -1] != ABSENT
    expected = np.repeat(kept, [first, 30, first])
    assert found.counts["cuts"] == 2 and (seen == expected).mean() > 0.97


def test_flashes_fades_and_motion_are_no_cuts(tmp_path: Path) -> None:
    still = [picture.astype(float) for picture in room(talking(60))]
    light = np.ones(60)
    light[10:12], light[20:31], light[31:41] = 1.6, np.linspace(1, 0, 11), np.linspace(0, 1, 10)
    bright = [np.clip(picture * share, 0, 255) for picture, share in zip(still, light)]
    assert cuts_of(bright) == 0
    wide = np.hstack([room(talking(1))[0]] * 3)
    assert cuts_of([wide[:, 4 * n : 4 * n + SIZE[0]] for n in range(80)]) == 0
    # What follows a cut within a few pictures is another one.
    assert cuts_of(still[:5] + other(3) + still[:5]) == 2
    # And so is what follows a gap without pictures.
    assert cuts_of([*still[:5], *[None] * 20, *other(3)]) == 1


def cuts_of(pictures: Sequence[np.ndarray | None]) -> int:
    cuts = Cuts()
    return sum(cuts.step(p.astype(np.uint8)) for p in pictures if p is not None)


@pytest.mark.parametrize(("gap", "fps"), [(30.0, 25.0), (3.0, 240.0)])
def test_long_gaps_between_pictures_are_absent(tmp_path: Path, gap: float, fps: float) -> None:
    times = [0.04 * n + gap * (n >= 30) for n in range(60)]
    path = write_video(tmp_path / "a.mkv", talking(60), times=times)
    _, _, tracks = found_in(path, replace(HAAR, fps=fps))
    # A picture stands for half a second at each end; a face in all pictures is no passer-by.
    assert len(tracks) == round((2.4 + gap) * fps)
    expected = np.ones(len(tracks), bool)
    expected[round((1.16 + 0.5) * fps) + 1 : round((1.2 + gap - 0.5) * fps)] = False
    assert ((tracks[:, -1] != ABSENT) == expected).mean() > 0.995


def test_a_path_forgets_however_far_it_moves_on() -> None:
    path = FacePath(4, 0)
    for frame in (0, 700, 5000):
        path.forget(frame)
        path.begin()
        path.put(frame, np.full(4, 8.0 + frame), 1, 1.0)
        assert path.has(frame) and path.box(frame)[0] == 8.0 + frame
        assert path.stretches(frame, np.ones(3, bool)) == [(frame, frame + 1)]


def test_a_cut_is_no_motion(tmp_path: Path) -> None:
    pictures = talking(37, (8, 8)) + talking(43, (90, 52))
    _, _, tracks = found_in(write_video(tmp_path / "a.mp4", pictures))
    x = centres(tracks)[:, 0]
    seen = tracks[:, -1] != ABSENT
    assert seen.mean() > 0.97
    assert np.abs(x[:37][seen[:37]] - (8 + FACE / 2)).max() < 4
    assert np.abs(x[37:][seen[37:]] - (90 + FACE / 2)).max() < 4


def two_people(frames: int, speaker: int) -> list[np.ndarray]:
    """Two heads that sway, the left one larger; one speaks."""
    pictures = []
    for number in range(frames):
        sway = 4 * np.sin(number / 9)
        mouths = [0.3, 0.3]
        mouths[speaker] = 0.5 + 0.5 * np.sin(1.3 * number)
        picture = scene([(10 + sway, 40)], mouths[:1], (320, 160), 96)
        small = face(72, mouths[1])
        x = round(200 + sway)
        picture[60:132, x : x + 72] = small
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize(("which", "speaker", "left"), [
    ("speaking", 0, True), ("speaking", 1, False), ("largest", 1, True),
])  # fmt: skip
def test_one_of_two_people_is_chosen_and_kept(
    tmp_path: Path, which: str, speaker: int, left: bool
) -> None:
    path = write_video(tmp_path / "a.mp4", two_people(90, speaker))
    _, _, tracks = found_in(path, replace(HAAR, which=which))
    x = centres(tracks)[tracks[:, -1] != ABSENT, 0]
    assert len(x) > 80
    assert np.ptp(x) < 14 and (x.mean() < 160) == left


def test_a_second_person_who_leaves_does_not_take_the_path(tmp_path: Path) -> None:
    together = two_people(60, speaker=0)
    alone = [picture.copy() for picture in together]
    for picture in alone:
        picture[:, :160] = 110
    _, _, tracks = found_in(write_video(tmp_path / "a.mp4", together + alone))
    assert (tracks[62:, -1] == ABSENT).all() and (tracks[:58, -1] != ABSENT).all()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_short_films_have_their_faces(tmp_path: Path, count: int) -> None:
    found, crops, _ = found_in(write_video(tmp_path / "a.mp4", talking(count)))
    assert len(crops) == count and found.counts["faces_absent"] == 0


def test_films_without_faces_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 120, 160)).astype(np.uint8)
    for name, pictures in (("blank", [scene()] * 30), ("noise", noise)):
        path = write_video(tmp_path / f"{name}.mp4", pictures)
        with pytest.raises(Unusable, match="no face"):
            decode_faces(path, tmp_path / "spool", HAAR)
    brief = write_video(tmp_path / "brief.mp4", [scene()] * 150 + talking(8))
    with pytest.raises(Unusable, match=r"no face: .* \d of 158 pictures"):
        decode_faces(brief, tmp_path / "spool", HAAR)
    assert not list(tmp_path.glob("spool*"))


@pytest.mark.parametrize("colour", [False, True])
def test_cropped_pictures_are_taken_as_they_are(tmp_path: Path, colour: bool) -> None:
    picture = np.full((64, 96, 3), (200, 40, 40), np.uint8)
    picture[:, 48:] = (40, 40, 200)
    path = write_video(tmp_path / "a.mp4", [picture] * 5, pix_fmt="yuv444p")
    options = FaceOptions(detector="none", size=32, colour=colour)
    found, crops, tracks = found_in(path, options)
    assert found.counts["faces_detected"] == 5
    np.testing.assert_array_equal(tracks[0, :4], [16, 0, 64, 64])
    if colour:
        assert np.abs(crops[0, 16, 4].astype(int) - (200, 40, 40)).max() < 12
        assert np.abs(crops[0, 16, 28].astype(int) - (40, 40, 200)).max() < 12
    else:
        assert np.abs(crops[0, 16, (4, 28), 0].astype(int) - (88, 58)).max() < 4


def test_a_warp_averages_and_keeps_its_place() -> None:
    ramp = np.broadcast_to(np.arange(240, dtype=np.uint8), (240, 240)).copy()
    box = np.array([120.0, 120.0, 160.0, 160.0])
    for size in (16, 40, 96, 224):
        crop = warp(ramp, transform(box, FaceOptions(size=size, margin=0)), (size, size))
        expected = 40 + (np.arange(size) + 0.5) * 160 / size - 0.5
        assert np.abs(crop[size // 2] - expected).max() < 1.01
    # A fine pattern becomes its mean: nothing is skipped.
    chess = np.indices((400, 400)).sum(axis=0) % 2 * 255
    crop = warp(
        chess.astype(np.uint8), transform(np.array([200.0, 200, 380, 380]), TIGHT), (96, 96)
    )
    assert np.abs(crop.astype(int) - 128).max() < 20
    # Beyond the picture its edge goes on.
    crop = warp(ramp, transform(np.array([0.0, 120, 100, 100]), TIGHT), (96, 96))
    assert crop.shape == (96, 96) and crop[:, :40].max() == 0


def test_alignment_undoes_size_turn_and_place() -> None:
    options = FaceOptions(detector="yunet", align=True, size=80)
    turn = 7.0 * np.exp(0.4j)
    points = (MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]) * turn + 30 - 12j
    landmarks = np.stack([points.real, points.imag], axis=1).ravel()
    a, b, c, d = transform(np.concatenate([[0, 0, 9, 9], landmarks]), options)
    x, y = landmarks[::2], landmarks[1::2]
    aligned = np.stack([a * x - b * y + c, b * x + a * y + d], axis=1)
    goal = (MEAN_FACE + 0.1) * 80 / 1.2
    np.testing.assert_allclose(aligned, goal, atol=1e-6)


def test_smoothing_keeps_parabolas_and_stops_at_jumps() -> None:
    path = FacePath(4, 0)
    path.begin()
    times = np.arange(30.0)
    boxes = np.stack([0.1 * times**2, 3 * times, 40 + 0 * times, 50 + 0 * times], axis=1)
    for frame in range(20):
        path.put(frame, boxes[frame], 1, 1.0)
    path.begin()
    for frame in range(20, 30):
        path.put(frame, boxes[frame] + 500, 1, 1.0)
    present = np.ones(26, bool)
    present[2] = False
    assert path.stretches(4, present) == [(4, 6), (7, 20), (20, 30)]
    for start, stop in ((0, 8), (8, 20), (20, 30)):
        smooth, _, _ = path.smooth(start, stop)
        np.testing.assert_allclose(smooth, boxes[start:stop] + 500 * (start >= 20), atol=1e-6)
    assert not path.bridge(19, 20) and path.has(19)
    trembling = FacePath(4, 0)
    trembling.begin()
    noise = np.random.default_rng(0).normal(0, 2, (200, 4))
    for frame in range(200):
        trembling.put(frame, 50 + noise[frame], 1, 1.0)
    smooth, _, _ = trembling.smooth(0, 200)
    # A run at a time or all at once: the same.
    parts = [trembling.smooth(start, start + 8)[0] for start in range(0, 200, 8)]
    np.testing.assert_allclose(np.concatenate(parts), smooth, atol=1e-9)
    assert (smooth.std(axis=0) < [1.1, 1.1, 0.7, 0.7]).all()


def test_a_gap_is_bridged_where_the_face_returns_to_its_place() -> None:
    path = FacePath(4, 0)
    path.begin()
    path.put(3, np.array([10.0, 10, 8, 8]), 1, 1.0)
    path.begin()
    path.put(8, np.array([15.0, 10, 8, 8]), 1, 1.0)
    assert path.bridge(3, 8)
    boxes, sources, scores = path.smooth(3, 9)
    np.testing.assert_allclose(boxes[:, 0], np.arange(10, 16), atol=1e-6)
    assert sources.tolist() == [1, *[INTERPOLATED] * 4, 1]
    assert scores.tolist() == [1, 0, 0, 0, 0, 1]


def test_memory_does_not_grow_with_a_film(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from avaffect.data.faces.extraction import decode_faces\n"
        "from avaffect.data.faces.options import FaceOptions\n"
        "path = Path(sys.argv[1])\ndecode_faces(path, path.with_suffix(''), FaceOptions())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (100, 1500):
        pictures = (picture for _ in range(count // 50) for picture in talking(50))
        path = write_video(tmp_path / f"{count}.mp4", pictures)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        peaks.append(int(done.stdout))
    # The crops of the longer film alone are 13 MB.
    assert peaks[1] - peaks[0] < 8_000


def test_a_face_model_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such face model; OpenCV Zoo"):
        check_model(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model\n" * 99)
    with pytest.raises(DataError, match=r"YuNet model.* OpenCV Zoo"):
        check_model(tmp_path / "text.onnx")
    with pytest.raises(DataError, match="needs --face-model"):
        check_model(None)


def test_yunet_aligns_real_faces(recordings: Path, tmp_path: Path) -> None:
    model = recordings.parent / "models" / "yunet_n_640_640.onnx"
    if not model.is_file():
        pytest.skip(f"no YuNet model at {model}")
    check_model(model)
    path = tmp_path / "a.mpg"
    path.write_bytes((recordings / "video_grid" / "brbk7n.mpg").read_bytes())
    options = FaceOptions(detector="yunet", model=model, align=True)
    found, crops, tracks = found_in(path, options)
    assert found.counts["faces_absent"] == 0
    goal = (MEAN_FACE + 0.1) * 96 / 1.2
    for row in tracks[::10]:
        x, y, width, height = row[:4]
        eyes, mouths = row[[4, 6]], row[[11, 13]]
        assert x < eyes.min() and eyes.max() < x + width and y < mouths.min() < y + height
        a, b, c, d = transform(np.concatenate([row[:4], row[4:14]]).astype(float), options)
        points = row[4:14].reshape(5, 2)
        aligned = np.stack([a * points[:, 0] - b * points[:, 1] + c,
                            b * points[:, 0] + a * points[:, 1] + d], axis=1)  # fmt: skip
        assert np.abs(aligned - goal).max() < 8
    # Eyes are dark: their place in the crops is darker than the cheeks below.
    eye = goal[0].round().astype(int)
    dark = crops[:, eye[1] - 2 : eye[1] + 3, eye[0] - 2 : eye[0] + 3].mean()
    assert dark < crops[:, eye[1] + 14 : eye[1] + 20, eye[0] - 2 : eye[0] + 3].mean() - 20


def test_a_face_at_the_edge_of_the_picture_is_followed(tmp_path: Path) -> None:
    wide = [scene([(x, 28)], size=(320, 120)) for x in np.linspace(60, 160, 60)]
    leaving = [np.ascontiguousarray(picture[:, : SIZE[0]]) for picture in wide]
    _, _, tracks = found_in(write_video(tmp_path / "a.mp4", leaving))
    assert (tracks[:40, -1] != ABSENT).all() and np.isfinite(tracks[:, :4]).all()


def test_ordinary_films_have_no_cuts(recordings: Path) -> None:
    paths = [*recordings.glob("video_grid/*.mpg"), *recordings.glob("video_mead/[cfs]*.mp4"),
             *recordings.glob("video_styletalk/feifeili_clip2*.mp4")]  # fmt: skip
    # One of them is truncated: what there is of it counts.
    assert len(paths) > 10
    for path in paths:
        cuts = Cuts()
        with contextlib.suppress(Unusable):
            for picture in read_pictures(path, 25.0, VideoCounts()):
                cuts.step(picture.luma)
        assert cuts.scene is not None and not cuts.count, path.name
