"""Pictures are read as they are displayed: turned, mirrored, with square pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import MATRICES, set_matrix, write_video

from avaffect.data.decoding.display import Display, Displays, nearest_turn, plausible_aspect
from avaffect.data.decoding.video import Picture, VideoCounts, read_pictures

# Four tones that tell the eight ways apart.
PICTURE = np.zeros((32, 48), np.uint8)
TV = Fraction(1, 25)
PICTURE[:16, :24], PICTURE[:16, 24:], PICTURE[16:, :24] = 250, 170, 90


def shown(path: Path, film: VideoCounts | None = None) -> list[Picture]:
    return [picture for picture in read_pictures(path, 25.0, film or VideoCounts()) if picture]


def differs(picture: Picture, wanted: np.ndarray) -> float:
    assert picture.luma.shape == wanted.shape == picture.rgb.shape[:2]
    grey = picture.grey(picture.luma).astype(int)
    assert np.abs(picture.rgb.mean(axis=2) - grey).mean() < 4
    return float(np.abs(grey - wanted).mean())


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_all_eight_matrices_give_the_plain_picture(
    tmp_path: Path, matrix: tuple[int, ...], name: str
) -> None:
    stored = np.ascontiguousarray(MATRICES[matrix](PICTURE))
    film = VideoCounts()
    path = set_matrix(write_video(tmp_path / name, [stored] * 2), matrix)
    for picture in shown(path, film):
        assert differs(picture, PICTURE) < 8
    assert not film.notes


def test_a_matrix_that_scales_turns_and_one_beside_a_right_angle_is_said(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [np.ascontiguousarray(np.fliplr(PICTURE))] * 2)
    film = VideoCounts()
    assert differs(shown(set_matrix(path, (-0.5, 0, 0, 0.5)), film)[0], PICTURE) < 8
    assert not film.notes
    film, turn = VideoCounts(), np.deg2rad(20)
    slanted = (-np.cos(turn), np.sin(turn), np.sin(turn), np.cos(turn))
    assert differs(shown(set_matrix(path, slanted), film)[0], PICTURE) < 8
    assert "by 20 degrees" in film.notes[0]
    for zero in ((0, 0, 0, 0), (1, 0, 0, 0)):
        assert nearest_turn(np.reshape(zero, (2, 2))) == ((1, 0, 0, 1), 0.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_set_upright_by_their_exif(tmp_path: Path, orientation: int) -> None:
    """PyAV has no name for EXIF side data and lists none then."""
    back = dict(zip((1, 6, 3, 8, 2, 4, 5, 7), MATRICES.values()))
    coded = cv2.imencode(".jpg", np.ascontiguousarray(back[orientation](PICTURE)))[1].tobytes()
    tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation])
    exif = b"Exif\0\0" + tiff + b"\0\0\0\0\0\0"
    path = tmp_path / "a.jpg"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(coded[:2] + segment + coded[2:])
    assert differs(shown(path)[0], PICTURE) < 8


def squeezed(aspect: Fraction, picture: np.ndarray = PICTURE) -> np.ndarray:
    """A picture as its pixels store it where they are `aspect` times as wide as high."""
    height, width = picture.shape
    size = (round(width / max(aspect, 1)), round(height / max(1 / aspect, 1)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


ASPECTS = [Fraction(4, 3), Fraction(64, 45), Fraction(2), Fraction(1, 2), Fraction(8, 9)]


@pytest.mark.parametrize("aspect", ASPECTS, ids=str)
@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (0, 1, 1, 0)], ids=str)
def test_pixels_that_are_not_square_are_made_so(
    tmp_path: Path, aspect: Fraction, matrix: tuple[int, ...]
) -> None:
    """The aspect is that of stored pixels, before the film is turned."""
    big = cv2.resize(PICTURE, (576, 384), interpolation=cv2.INTER_NEAREST)
    turned = matrix[0] == 0
    stored = squeezed(aspect, np.ascontiguousarray(MATRICES[matrix](big)))
    stored = np.ascontiguousarray(stored[: stored.shape[0] // 2 * 2, : stored.shape[1] // 2 * 2])
    path = write_video(tmp_path / "a.mp4", [stored] * 2, aspect=aspect)
    picture = shown(set_matrix(path, matrix) if turned else path)[0]
    height, width = picture.luma.shape
    assert abs(height - 384) <= 2 and abs(width - 576) <= 2
    assert differs(picture, cv2.resize(big, (width, height))) < 4


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "libx264"), ("a.mpg", "mpeg1video"), ("a.mpg", "mpeg2video"), ("a.ts", "libx264"),
     ("a.avi", "mpeg4"), ("a.mov", "mpeg4")],
)  # fmt: skip
def test_the_aspect_is_read_wherever_it_stands(tmp_path: Path, name: str, codec: str) -> None:
    """In the container or in the codec's headers."""
    # MPEG-2 knows that of the whole picture: 16:9. MPEG-1 has a table of aspects.
    big = cv2.resize(PICTURE, (360, 288), interpolation=cv2.INTER_NEAREST)
    tables = {"mpeg2video": Fraction(64, 45), "mpeg1video": Fraction(16, 11)}
    aspect = tables.get(codec, Fraction(2))
    path = write_video(tmp_path / name, [big] * 12, codec=codec, aspect=aspect, clock=TV)
    with av.open(str(path)) as container:
        # The writer keeps it, or the test says nothing.
        assert container.streams.video[0].sample_aspect_ratio not in (None, 1)
    height, width = shown(path)[0].luma.shape
    assert height == 288 and width / 360 == pytest.approx(float(aspect), rel=0.03)


def test_plain_pictures_are_not_touched(tmp_path: Path) -> None:
    for aspect in (None, "0", "1", "1001/1000", "9", "1/99"):
        assert plausible_aspect(aspect and Fraction(aspect)) == 1.0
    picture = np.zeros((4, 6), np.uint8)
    assert Display().of(picture) is picture


def test_an_aspect_that_changes_on_the_way_is_followed(tmp_path: Path) -> None:
    """Two recordings of one size in a row, as broadcasts have them."""
    parts = []
    for aspect in (Fraction(1), Fraction(32, 27)):
        part = tmp_path / f"{float(aspect)}.mpg"
        write_video(part, [PICTURE] * 13, codec="mpeg2video", aspect=aspect, clock=TV)
        parts.append(part.read_bytes())
    path = tmp_path / "both.mpg"
    path.write_bytes(b"".join(parts))
    widths = [picture.luma.shape[1] for picture in shown(path)]
    change = widths.index(57)
    assert set(widths[:change]) == {48} and set(widths[change:]) == {57}
    assert 11 <= change <= 15


def test_a_frame_of_a_film_is_looked_up_once_a_key_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [PICTURE] * 12, options={"g": "12"})
    with av.open(str(path)) as container:
        displays = Displays(container.streams.video[0])
        found = {id(displays.of(frame)) for frame in container.decode(video=0)}
    assert len(found) == 1
