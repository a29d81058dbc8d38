"""Contact sheets: everything in its place, nothing cut off, PNG files that say the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avaffect.core.errors import DataError
from avaffect.data import pictures
from avaffect.data.pictures import Tile, sheet, write_png

GREEN = (20, 150, 60)


def face(height: int, width: int, *channels: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, *channels), value, dtype=np.uint8)


def places(found: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of one colour."""
    return np.nonzero(np.all(found == colour, axis=-1))


def ink(found: np.ndarray) -> np.ndarray:
    """(H, W): where text was drawn on the background."""
    return found.max(axis=-1) < 200


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_pictures_keep_their_proportions_and_stand_in_the_middle(channels):
    found = sheet([[Tile(face(40, 80, *channels, value=77))]], tile=96)
    rows, columns = places(found, (77, 77, 77))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (48, 96)
    top, left = pictures.MARGIN, pictures.MARGIN
    assert (rows.min(), columns.min()) == (top + 24, left)


def test_tiles_are_aligned_over_the_rows_and_framed():
    rows = [
        [Tile(face(8, 8), "one", GREEN), Tile(face(8, 8), "two\nlines")],
        [Tile(face(8, 8)), Tile(face(8, 8), colour=GREEN), Tile(None)],
    ]
    found = sheet(rows, ["short", "a longer title\nof two lines"], tile=64, heading="Queries")
    y, x = places(found, GREEN)
    first = y < y.min() + 64
    step = 64 + pictures.GAP
    assert x[~first].min() - x[first].min() == step
    for here in (first, ~first):
        assert (np.ptp(y[here]), np.ptp(x[here])) == (63, 63)
    _, blank = places(found[y[~first].min() :, x.min() :], pictures.BLANK)
    blank += x.min()
    assert blank.min() == x[first].min() + 2 * step and found.shape[1] == (
        blank.max() + 1 + pictures.MARGIN
    )


def test_colours_of_a_face_stay_through_the_file(tmp_path):
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 0] = 200
    found = sheet([[Tile(red)]], tile=16)
    write_png(tmp_path / "sheet.png", found)
    again = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1]
    assert np.array_equal(again, found) and len(places(again, (200, 0, 0))[0]) == 256
    write_png(tmp_path / "grey", found[..., 0])
    assert cv2.imread(str(tmp_path / "grey"), cv2.IMREAD_UNCHANGED).shape == found.shape[:2]
    with pytest.raises(DataError, match="no such folder"):
        write_png(tmp_path / "nowhere" / "sheet.png", found)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grey", "sheet.png"]


@pytest.mark.parametrize("text", ["gjW" * 40, "ÅÉ" * 40, "感情" * 60])
def test_long_texts_stay_in_their_places(text):
    rows = [[Tile(None, text), Tile(None)], [Tile(None), Tile(None, text)]]
    found = sheet(rows, [text, ""], tile=80, heading=text)
    drawn = ink(found)
    step = 80 + pictures.GAP
    right = found.shape[1] - pictures.MARGIN
    first, second = right - 80 - step, right - 80
    assert drawn.any()
    assert not drawn[:, right:].any() and not drawn[:, : pictures.MARGIN - 1].any()
    lower = slice(found.shape[0] - 80, None)
    upper = slice(pictures.MARGIN + 30, pictures.MARGIN + 30 + 100)
    # Beside a caption is nothing: neither in the gap nor under the neighbour, nor by the title.
    assert not drawn[upper, first + 80 :].any() and not drawn[lower, :second].any()
    assert not drawn[upper, first - pictures.GAP : first].any()
    assert not drawn[-2:].any()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, façade", "Grusse, facade"),
        ("a…", "a..."),
        ("幸せ", "??"),
        ("tab\there", "tab?here"),
        ("Å" * 300, None),
    ],
)
def test_texts_are_spelled_in_signs_that_can_be_drawn(text, shown):
    found = pictures._shortened(text, 120, pictures.TEXT_SCALE)
    assert found.isascii()
    assert found == shown if shown else found.endswith("A...") and len(found) < 40


def test_headings_flow_over_lines():
    text = "Queries and what was retrieved for them"
    narrow = pictures._flowed(text, 100, pictures.HEADING_SCALE)
    assert len(narrow) > 2 and " ".join(narrow) == text
    widths = [pictures.text_width(line, pictures.HEADING_SCALE) for line in narrow]
    assert max(widths) <= 100
    assert pictures._flowed(text, 1000, pictures.HEADING_SCALE) == [text]
    lone, wide = (sheet([[Tile(None)] * n], tile=80, heading=text) for n in (1, 5))
    lines = len(pictures._flowed(text, 80, pictures.HEADING_SCALE))
    step = pictures._line_height(pictures.HEADING_SCALE)
    assert lone.shape[0] - wide.shape[0] == (lines - 1) * step


def test_a_text_that_fits_is_not_shortened():
    text = "happiness 0.83"
    width = pictures.text_width(text)
    assert pictures._shortened(text, width, pictures.TEXT_SCALE) == text
    assert pictures._shortened(text, width - 1, pictures.TEXT_SCALE).endswith("...")


def test_wide_tiles_and_what_their_colours_mean():
    key = np.full((5, 9, 3), 77, dtype=np.uint8)
    found = sheet([[Tile(face(10, 30), colour=GREEN)] * 2], tile=40, width=90, key=key)
    # A picture of 30 x 10 fills 90 x 30, and keeps its proportions.
    rows, columns = places(found, (128, 128, 128))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (30, 2 * 90 + pictures.GAP - 6)
    rows, columns = places(found, GREEN)
    assert np.ptp(rows) + 1 == 40 and columns.min() == pictures.MARGIN
    rows, columns = places(found, (77, 77, 77))
    assert (len(set(rows)), len(set(columns)), columns.min()) == (5, 9, pictures.MARGIN)
    assert rows.max() < places(found, GREEN)[0].min()


def test_sheets_of_nothing_and_titles_that_do_not_fit():
    assert sheet([]).shape == (pictures.MARGIN, 2 * pictures.MARGIN, 3)
    assert sheet([[]], ["a"]).dtype == np.uint8
    assert sheet([[Tile(np.zeros((0, 5), np.uint8))]]).shape[2] == 3
    with pytest.raises(ValueError, match="1 title for 2 rows"):
        sheet([[], []], ["a"])


def test_a_written_sheet_replaces_the_one_before(tmp_path: Path):
    output = tmp_path / "sheet.png"
    for value in (10, 20):
        write_png(output, face(4, 4, 3, value=value))
    assert cv2.imread(str(output))[0, 0].tolist() == [20, 20, 20]
