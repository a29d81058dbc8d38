"""Video2GIF: GIFs that users made, and the YouTube videos that they are from.

Gygli, Song and Cao, "Video2GIF: Automatic Generation of Animated GIFs from Video", CVPR 2016.
metadata.txt has a line a GIF, whose fields stand between semicolons followed by a tab, and a line
of their names: youtube_id, gif_start_sec, gif_end_sec, video_duration, video_category and others.
testset.txt lists the videos of the test set. Videos are named by their id, such as
007f_EMcxQM.mp4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, find_table
from avaffect.data.corpora.highlights import Film, add_films
from avaffect.data.tables.texts import read_text
from avaffect.settings.manifest import ManifestSettings

NAME = "video2gif"
OPTIONS = ("tables", "encoding")
TABLE, TEST = "metadata.txt", "testset.txt"
SEPARATOR = ";\t"
NEEDED = ("youtube_id", "gif_start_sec", "gif_end_sec", "video_duration")
CATEGORY = "video_category"


def read(settings: ManifestSettings) -> Corpus:
    """Video2GIF below a folder; its tables from there or from `tables`.

    Label: highlight, see `highlights`. Videos of testset.txt are test, all others train. Raises
    DataError without metadata.txt or its columns.
    """
    corpus = Corpus(NAME, settings.source, {})
    table = find_table(TABLE, settings.tables, settings.source)
    if table is None:
        raise DataError(
            f"{settings.tables or settings.source} has no {TABLE}, the table of Video2GIF; name "
            "its folder with --tables"
        )
    corpus.tables.append(table)
    listing = find_table(TEST, table.parent, settings.tables, settings.source)
    tested = set(read_text(listing).split()) if listing is not None else set()
    if listing is not None:
        corpus.tables.append(listing)
    films: dict[str, Film] = {}
    for line, row in _rows(corpus, table):
        try:
            start, end, duration = (float(row[name]) for name in NEEDED[1:])
        except ValueError:
            corpus.lost["a time is no number"].append(f"{table.name}, line {line}")
            continue
        name = row[NEEDED[0]]
        film = films.setdefault(name, Film(duration))
        film.excerpts.append((start, end))
        film.item["split"] = "test" if name in tested else "train"
        if row.get(CATEGORY):
            film.item["category"] = row[CATEGORY]
    return add_films(corpus, films, "007f_EMcxQM.mp4", "Video2GIF")


def _rows(corpus: Corpus, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and {column: text}. Titles may hold any sign, so that a line is split at the
    separator alone."""
    lines = read_text(path).splitlines()
    names = [name.strip() for name in (lines[0] if lines else "").split(SEPARATOR)]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r} (it has: {', '.join(names)}); columns stand "
            "between a semicolon and a tab"
        )
    for number, line in enumerate(lines[1:], start=2):
        fields = [text.strip() for text in line.split(SEPARATOR)]
        if len(fields) == len(names):
            yield number, dict(zip(names, fields))
        elif line.strip():
            corpus.lost["a line has another number of fields"].append(f"{path.name}, line {number}")
