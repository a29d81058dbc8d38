"""`gallery`: queries with their retrieved clips, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core import plain_json, png
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, identity, provenance, reference
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.manifest import Manifest
from avaffect.recipes.common import publishing, work
from avaffect.recipes.scoring.retrieved_clips import Clip, mel_levels, rows_of
from avaffect.settings.base import semantic
from avaffect.settings.gallery import GallerySettings

# OpenCV is imported once the inputs are known to be right.
if TYPE_CHECKING:
    from avaffect.data.pictures import Colour, Tile

AGREES: Colour = (30, 150, 70)
DIFFERS: Colour = (205, 50, 45)
QUERY: Colour = (70, 100, 200)
MOST_TILES = 4096
# Width of a spectrogram in tiles where no face is shown.
SOUND_TILES = 2


@dataclass(frozen=True)
class Cell:
    """What is shown of an utterance: a picture of its face, or else its waveform (S,), if any."""

    caption: str
    colour: Colour | None
    face: np.ndarray | None = None
    sound: np.ndarray | None = None


def make_gallery(settings: GallerySettings, progress: Progress = SILENT) -> None:
    """Draw a retrieval manifest's queries and what was retrieved for them.

    Raises UsageError for impossible counts or an output that is no .png, DataError where the
    manifest is none of retrieval or a store behind it is missing, OutputExistsError where the
    output is there and looks otherwise.
    """
    _check(settings)
    found = manifest.read(settings.retrieval, expect="retrieval")
    if not found.items:
        raise DataError(f"{found.name} has no query: there is nothing to draw")
    made = _provenance(settings, found)

    @cache
    def drawing() -> tuple[np.ndarray, str]:
        return _draw(settings, found, progress)

    def is_same(path: Path) -> bool:
        """By what the picture says of itself, or else by what it shows: the same may be drawn from
        other inputs, and pictures of version 0.1 say nothing."""
        words = png.read_text(path, png.MADE)
        if words is not None and identity(plain_json.parse(words)) == identity(made):
            return True
        from avaffect.data import pictures

        return pictures.is_picture(path, drawing()[0])

    if publishing.is_current(settings, made, progress, is_same=is_same, differs="looks otherwise"):
        return
    picture, summary = drawing()
    if publishing.is_dry(settings, progress, f"draw {summary}"):
        return
    from avaffect.data import pictures

    pictures.write_png(settings.output, picture, canonical_json(made))
    progress.say(f"{settings.output}: {summary}")


def _draw(settings: GallerySettings, found: Manifest, progress: Progress) -> tuple[np.ndarray, str]:
    """The picture, (H, W, 3) RGB uint8, and what it shows in words."""
    rows = rows_of(found, settings)
    cells = [
        [_cell(row.query, "", QUERY), *(_cell(c, _caption(c), _colour(c)) for c in row.retrieved)]
        for row in rows
    ]
    compared = [c.agrees for row in rows for c in row.retrieved if c.agrees is not None]
    if settings.gold and not compared:
        names = ", ".join(str(path) for path in settings.gold)
        progress.warn(f"{names} has no label of the retrieved utterances: frames have no colour")
    titles = [f"{row.query.label or 'no label'}\n{row.query.identifier}" for row in rows]
    picture = _sheet(cells, titles, settings.tile, _heading(found, bool(compared)))
    agreeing = f"; {sum(compared)} of {len(compared)} bear their query's label" if compared else ""
    summary = (
        f"{count_of(len(rows), 'query')}, {sum(map(len, cells)) - len(cells)} retrieved{agreeing}"
    )
    return picture, summary


def _check(settings: GallerySettings) -> None:
    if settings.queries * (settings.retrieved + 1) > MOST_TILES:
        raise UsageError(f"more than {MOST_TILES} faces do not fit a picture; ask for "
                         "fewer --queries or --retrieved")  # fmt: skip
    if settings.output.suffix.lower() != ".png":
        raise UsageError(f"{settings.output}: a gallery is a PNG picture; name it .png")


def _caption(clip: Clip) -> str:
    similarity = "" if clip.similarity is None else f"{clip.similarity:.2f}"
    return f"{' '.join(filter(None, (similarity, clip.label)))}\n{clip.identifier}"


def _colour(clip: Clip) -> Colour | None:
    return None if clip.agrees is None else AGREES if clip.agrees else DIFFERS


def _sheet(rows: list[list[Cell]], titles: list[str], tile: int, heading: str) -> np.ndarray:
    """Faces are square. Sounds are as wide beside them, and wider where there is no face."""
    from avaffect.data import pictures

    def drawn(cell: Cell, picture: np.ndarray | None) -> Tile:
        return pictures.Tile(picture, cell.caption, cell.colour)

    sounds = [cell.sound for row in rows for cell in row if cell.sound is not None]
    if not sounds:
        return pictures.sheet(
            [[drawn(cell, cell.face) for cell in row] for row in rows], titles, tile=tile,
            heading=heading,
        )  # fmt: skip
    from avaffect.data.spectrograms import key, scale_of, spectrogram

    width = tile if any(c.face is not None for row in rows for c in row) else SOUND_TILES * tile
    seconds = scale_of([len(sound) / SAMPLE_RATE_HZ for sound in sounds])

    def shown(cell: Cell) -> Tile:
        if cell.sound is None:
            return drawn(cell, cell.face)
        return drawn(cell, spectrogram(*mel_levels(cell.sound, seconds), seconds, tile, width))

    tiles = [[shown(cell) for cell in row] for row in rows]
    return pictures.sheet(tiles, titles, tile=tile, width=width, heading=heading, key=key())


def _cell(clip: Clip, caption: str, colour: Colour | None) -> Cell:
    face = clip.face
    if face is not None:
        return Cell(caption, colour, face=face)
    sound = clip.sound
    if sound is None:
        return Cell(caption, colour)
    first, _, rest = caption.partition("\n")
    told = ", ".join(filter(None, (first, f"{len(sound) / SAMPLE_RATE_HZ:.1f} s")))
    return Cell("\n".join(filter(None, (told, rest))), colour, sound=sound)


def _heading(found: Manifest, compared: bool) -> str:
    temperature = found.header.made_with.temperature
    drawn = "" if temperature is None else f" at T = {temperature:g}"
    frames = ". Frames: green, the query's label; red, another" if compared else ""
    return f"Queries (blue) and what was retrieved for them{drawn}{frames}"


def _provenance(settings: GallerySettings, found: Manifest) -> Provenance:
    retrieval = work.manifest_input("retrieval", found, settings.output)
    gold = [reference(*given, settings.output) for given in work.file_inputs("gold", settings.gold)]
    return provenance("gallery", semantic(settings), [retrieval, *gold])
