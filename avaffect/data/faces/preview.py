"""Contact sheets of a corpus: detected faces, for inspection."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from avaffect.data.faces.options import ABSENT, DETECTED, INTERPOLATED, TRACKED
from avaffect.data.faces.samples import Sample, Samples
from avaffect.data.pictures import Tile, sheet, write_png

# Utterances of a corpus that are shown, evenly spaced, and utterances on a sheet.
SHOWN = 200
ROWS = 10
PAIRS = 6
TILE = 112
COLOURS = {
    ABSENT: (150, 150, 150),
    DETECTED: (30, 150, 60),
    TRACKED: (40, 90, 210),
    INTERPOLATED: (225, 130, 20),
}
HEADING = "faces: green detected, blue tracked, orange interpolated, grey absent"


def shown_rows(count: int) -> set[int]:
    """The rows of the utterances that are shown, of `count`."""
    return {round(row) for row in np.linspace(0, count - 1, min(count, SHOWN))} if count else set()


class Preview:
    """Writes sheets preview-001.png, ... into a folder, one utterance at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages: list[Path] = []
        self._rows: list[list[Tile]] = []
        self._titles: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def into(cls, folder: Path | None) -> Preview | None:
        return None if folder is None else cls(folder)

    def add(self, title: str, samples: Samples | None) -> None:
        """Add an utterance. samples: None if it has no faces."""
        self._titles.append(title)
        self._rows.append([tile for sample in _some(samples) for tile in _tiles(sample)])
        if len(self._rows) == ROWS:
            self._write()

    def finish(self) -> None:
        if self._rows:
            self._write()

    def _write(self) -> None:
        path = self.folder / f"preview-{len(self.pages) + 1:03d}.png"
        rows = [row or [Tile()] for row in self._rows]
        write_png(path, sheet(rows, self._titles, tile=TILE, heading=HEADING))
        self.pages.append(path)
        self._rows, self._titles = [], []


def _some(samples: Samples | None) -> list[Sample]:
    """At most PAIRS of the frames, evenly spaced."""
    found = samples.found if samples else []
    places = np.linspace(0, len(found) - 1, min(len(found), PAIRS))
    return [found[round(place)] for place in places]


def _tiles(sample: Sample) -> list[Tile]:
    source = int(sample.track[15])
    thumb = np.ascontiguousarray(sample.thumb).copy()
    colour = COLOURS[source]
    if source != ABSENT:
        x, y, width, height = (sample.track[:4] * sample.scale).round().astype(int).tolist()
        cv2.rectangle(thumb, (x, y), (x + width, y + height), colour, 1)
        for point in sample.track[4:14].reshape(5, 2) * sample.scale:
            if np.isfinite(point).all():
                cv2.circle(thumb, tuple(point.round().astype(int).tolist()), 1, colour, -1)
    crop = sample.crop if source != ABSENT else None
    return [Tile(thumb, f"frame {sample.frame}"), Tile(crop, "", colour)]
