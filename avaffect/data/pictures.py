"""Contact sheets: rows of small pictures with captions, as one picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avaffect.core import png
from avaffect.core.atomic import atomic_path
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of

Colour = tuple[int, int, int]

BACKGROUND: Colour = (250, 250, 250)
BLANK: Colour = (232, 232, 232)
INK: Colour = (40, 40, 40)
FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT_SCALE = 0.36
HEADING_SCALE = 0.5
MARGIN = 12
GAP = 8
FRAME = 3
# Greatest width of a row's title, in tiles.
TITLE_TILES = 2.0
# Replacement of characters that the font lacks, also after decomposition.
SPELLINGS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "œ": "oe", "đ": "d",
     "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "..."}
)  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """One cell of a sheet.

    picture  (H, W), (H, W, 1) or (H, W, 3) uint8, grey or RGB; None leaves the place blank
    caption  lines under the picture, cut to its width
    colour   of a frame around it
    """

    picture: np.ndarray | None = None
    caption: str = ""
    colour: Colour | None = None


def sheet(
    rows: Sequence[Sequence[Tile]],
    titles: Sequence[str] = (),
    *,
    tile: int = 96,
    width: int | None = None,
    heading: str = "",
    key: np.ndarray | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: `rows` of tiles, `tile` pixels high and `width` wide, by default square,
    with the title of a row at its left.

    key: a picture (h, w, 3) below the heading, which says what colours mean. Pictures keep their
    proportions. A heading is wrapped; other texts end in "..." if they do not fit, and break at
    line feeds. Raises ValueError unless `titles` is empty or has one for each row.
    """
    if titles and len(titles) != len(rows):
        raise ValueError(f"{count_of(len(titles), 'title')} for {count_of(len(rows), 'row')}")
    titles = titles or [""] * len(rows)
    size = tile, width or tile
    widest = max((text_width(line) for title in titles for line in _lines(title)), default=0)
    title_width = min(widest, round(TITLE_TILES * tile))
    left = MARGIN + (title_width + GAP if title_width else 0)
    columns = max((len(row) for row in rows), default=0)
    full_width = left + columns * (size[1] + GAP) - (GAP if columns else 0) + MARGIN
    bands = [
        _row(row, title, title_width, left, full_width, size) for row, title in zip(rows, titles)
    ]
    above = [_empty(MARGIN, full_width)]
    if heading:
        above.append(_band(heading, full_width, HEADING_SCALE, left=MARGIN))
    if key is not None:
        shown = key[:, : full_width - MARGIN]
        above.append(_empty(len(key) + GAP, full_width))
        above[-1][: len(key), MARGIN : MARGIN + shown.shape[1]] = shown
    return np.concatenate([*above, *bands])


def write_png(path: Path, picture: np.ndarray, made: str | None = None) -> None:
    """Write (H, W) grey or (H, W, 3) RGB uint8, atomically, as PNG whatever the suffix.

    made: its provenance, stored in the file under `png.MADE`.

    Raises DataError if the folder is missing or not writable.
    """
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", stored)
    if not done:
        raise DataError(f"{path}: a picture of {picture.shape} could not be written as PNG")
    content = encoded.tobytes()
    if made is not None:
        content = png.with_text(content, png.MADE, made)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    """(H, W), (H, W, 1) grey or (H, W, 3) RGB uint8, encoded. quality: in percent.

    Raises ValueError for a picture that JPEG cannot hold.
    """
    stored = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    done, encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {picture.shape} could not be written as JPEG")
    return encoded.tobytes()


def is_picture(path: Path, picture: np.ndarray) -> bool:
    """Whether the file contains exactly this picture, (H, W) grey or (H, W, 3) RGB uint8."""
    content = np.fromfile(path, dtype=np.uint8)
    stored = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if stored is not None and stored.ndim == 3 and stored.shape[2] == 3:
        stored = stored[..., ::-1]
    return stored is not None and np.array_equal(stored, picture)


def _row(
    tiles: Sequence[Tile], title: str, title_width: int, left: int, full_width: int,
    size: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    tile, width = size
    line_height = _line_height(TEXT_SCALE)
    title_lines = _lines(title)
    caption_lines = max((len(_lines(t.caption)) for t in tiles), default=0)
    caption_height = caption_lines * line_height + (4 if caption_lines else 0)
    height = max(tile + caption_height, len(title_lines) * line_height) + GAP
    band = _empty(height, full_width)
    # The title is at half the height of the pictures.
    first = max(0, (tile - len(title_lines) * line_height) // 2)
    for number, line in enumerate(title_lines):
        write_line(band, line, MARGIN, first + (number + 1) * line_height, title_width, TEXT_SCALE)
    for place, item in enumerate(tiles):
        x = left + place * (width + GAP)
        band[:tile, x : x + width] = _drawn(item, tile, width)
        for number, line in enumerate(_lines(item.caption)):
            write_line(band, line, x, tile + 4 + (number + 1) * line_height, width, TEXT_SCALE)
    return band


def _drawn(item: Tile, high: int, wide: int) -> np.ndarray:
    """(high, wide, 3): the picture within its frame."""
    place = np.full((high, wide, 3), BLANK, dtype=np.uint8)
    if item.picture is not None and item.picture.size:
        picture = _rgb(item.picture)
        scale = min(high / picture.shape[0], wide / picture.shape[1])
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        fitted = cv2.resize(picture, (width, height), interpolation=method)
        y, x = (high - height) // 2, (wide - width) // 2
        place[y : y + height, x : x + width] = fitted
    if item.colour is not None:
        for edge in (place[:FRAME], place[-FRAME:], place[:, :FRAME], place[:, -FRAME:]):
            edge[...] = item.colour
    return place


def _rgb(picture: np.ndarray) -> np.ndarray:
    grey = picture if picture.ndim == 2 else picture[..., 0]
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.ascontiguousarray(picture)
    return np.repeat(grey[..., None], 3, axis=2)


def _band(text: str, width: int, scale: float, left: int) -> np.ndarray:
    lines = _flowed(text, width - left - MARGIN, scale)
    height = _line_height(scale)
    band = _empty(len(lines) * height + GAP, width)
    for number, line in enumerate(lines):
        write_line(band, line, left, (number + 1) * height - 2, width - left - MARGIN, scale)
    return band


def _empty(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, dtype=np.uint8)


def write_line(
    picture: np.ndarray, text: str, x: int, bottom: int, width: int, scale: float = TEXT_SCALE
) -> None:
    """Draw one line into `width` pixels from x on; its lowest strokes end at `bottom`."""
    _, baseline = cv2.getTextSize("g", FONT, scale, 1)
    shown = _shortened(text, width, scale)
    cv2.putText(picture, shown, (x, bottom - baseline), FONT, scale, INK, 1, cv2.LINE_AA)


def _shortened(text: str, width: int, scale: float) -> str:
    """`text`, cut to the width, with dots at its end if it is cut."""
    shown = _drawable(text)
    if text_width(shown, scale) <= width:
        return shown
    while shown and text_width(shown + "...", scale) > width:
        shown = shown[:-1].rstrip()
    return shown + "..." if shown else ""


def _flowed(text: str, width: int, scale: float) -> list[str]:
    """The lines of `text`, wrapped between words."""
    found: list[str] = []
    for line in _lines(text):
        first, *words = line.split(" ")
        found.append(first)
        for word in words:
            longer = f"{found[-1]} {word}"
            if text_width(longer, scale) <= width:
                found[-1] = longer
            else:
                found.append(word)
    return found


def _drawable(text: str) -> str:
    """`text` in ASCII, which the font has: accents are dropped, other characters become "?"."""
    spelled = unicodedata.normalize("NFKD", text.translate(SPELLINGS))
    kept = "".join(sign for sign in spelled if not unicodedata.combining(sign))
    return "".join(sign if " " <= sign <= "~" else "?" for sign in kept)


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def text_width(text: str, scale: float = TEXT_SCALE) -> int:
    """Pixels of a line."""
    # Anti-aliased strokes exceed the measured width by a pixel.
    return cv2.getTextSize(_drawable(text), FONT, scale, 1)[0][0] + 1


def _line_height(scale: float) -> int:
    (_, height), baseline = cv2.getTextSize("Ag", FONT, scale, 1)
    return height + baseline + 2
