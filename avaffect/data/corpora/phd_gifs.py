"""PHD-GIFs (PHD2): excerpts of YouTube videos that users of gifs.com chose.

Garcia del Molino and Gygli, "PHD-GIFs: Personalized Highlight Detection for Automatic GIF
Creation", ACM Multimedia 2018. training.csv and testing.csv: youtubeId, start, duration, user_id,
video_duration, is_last; a row an excerpt, in seconds. Of a test user the last video, is_last True,
is to be predicted, the earlier ones are what is known of the user. Videos are named by their id,
such as dhuI9TO1rY8.mp4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import Corpus, find_table
from avaffect.data.corpora.highlights import Film, add_films
from avaffect.data.tables.reader import plain_name, read_table
from avaffect.settings.manifest import ManifestSettings

NAME = "phd-gifs"
OPTIONS = ("tables", "encoding")
TABLES = {"training.csv": "train", "testing.csv": "test"}
NEEDED = ("youtubeid", "start", "duration", "videoduration")
LAST = "islast"
TRUE = ("true", "1")


def read(settings: ManifestSettings) -> Corpus:
    """PHD-GIFs below a folder; its tables from there or from `tables`.

    Label: highlight, see `highlights`, by the excerpts of all users of a video. Test: the last
    videos of the users of testing.csv; train: all others. Raises DataError without a table or its
    columns.
    """
    corpus = Corpus(NAME, settings.source, {})
    films: dict[str, Film] = {}
    for name, split in TABLES.items():
        path = find_table(name, settings.tables, settings.source)
        if path is None:
            continue
        corpus.tables.append(path)
        for line, row in _rows(path):
            try:
                start, seconds, duration = (float(row[key]) for key in NEEDED[1:])
            except ValueError:
                corpus.lost["a time is no number"].append(f"{path.name}, line {line}")
                continue
            film = films.setdefault(row[NEEDED[0]], Film(duration, item={"split": "train"}))
            film.excerpts.append((start, start + seconds))
            if split == "test" and row.get(LAST, TRUE[0]).lower() in TRUE:
                film.item["split"] = "test"
    if not corpus.tables:
        raise DataError(
            f"{settings.tables or settings.source} has neither {' nor '.join(TABLES)}, the tables "
            "of PHD-GIFs; name their folder with --tables"
        )
    return add_films(corpus, films, "dhuI9TO1rY8.mp4", "PHD-GIFs")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and {column in lower case, without signs: text}."""
    table = read_table(path)
    names = {plain_name(name): name for name in table.names}
    for column in NEEDED:
        if column not in names:
            raise DataError(f"{path} has no column {column!r} (it has: {', '.join(table.names)})")
    for line, row in table.dictionaries(table.names):
        yield line, {plain: row[name] for plain, name in names.items()}
