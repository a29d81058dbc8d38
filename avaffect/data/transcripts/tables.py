"""Transcripts in tables: CSV or TSV, a word or a cue a row, of one recording or of many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.tables.reader import Table, plain_name, read_table
from avaffect.data.transcripts.words import Cue

SUFFIXES = (".csv", ".tsv")
# Names without capitals, blanks and signs, in the order in which they are looked for; with ms
# behind them, times are milliseconds.
WORD_NAMES = ("word", "words", "text", "token", "transcript", "transcription", "sentence", "label")
START_NAMES = ("start", "starts", "starttime", "startseconds", "starttimeseconds", "begin",
               "begintime", "onset", "from", "xmin", "tmin")  # fmt: skip
END_NAMES = ("end", "ends", "endtime", "endseconds", "endtimeseconds", "stop", "offset", "to",
             "xmax", "tmax")  # fmt: skip
RECORDING_NAMES = ("recording", "file", "filename", "video", "videoid", "audio", "media", "path",
                   "utterance", "utteranceid", "uttid", "id", "name")  # fmt: skip


def read(path: Path, of_many: bool) -> dict[str, list[Cue]]:
    """Name of a recording -> its cues; the name is "" in a table without a column of recordings.

    of_many: whether a column of recordings counts. Raises DataError where it is no table, or lacks
    a column of words, beginnings or ends.
    """
    table = read_table(path)
    word = _column(table, WORD_NAMES, "words: word or text")
    starts = _times(table, START_NAMES, "beginnings: start")
    ends = _times(table, END_NAMES, "ends: end")
    recording = _named(table, RECORDING_NAMES) if of_many else None
    names = [""] * len(table.rows) if recording is None else table.column(recording)
    _check_quotes(table, starts=[*START_NAMES, *(f"{name}ms" for name in START_NAMES)])
    found: dict[str, list[Cue]] = {name: [] for name in names}
    for (line, _), name, text, start, end in zip(
        table.rows, names, table.column(word), starts, ends, strict=True
    ):
        if not name and recording is not None:
            raise DataError(f"{path}, line {line}: {recording} is empty; name the recording")
        found[name].append(Cue(text, start, end, line))
    return found


def _check_quotes(table: Table, starts: Sequence[str]) -> None:
    """Raises DataError where a text holds rows: what is said in quotation marks over several cues,
    in a table whose writer does not escape them, such as Whisper's."""
    column = _named(table, starts)
    assert column is not None
    place = table.names.index(column)
    for line, fields in table.rows:
        for inner in (inner for text in fields for inner in text.splitlines()[1:]):
            parts = inner.split(table.delimiter)
            if len(parts) >= len(table.names) and parts[place].strip()[:1].isdigit():
                raise DataError(
                    f"{table.path}, line {line}: a quotation mark that opens here goes over "
                    "several rows; write it twice within quotes, or delete it"
                )


def _times(table: Table, known: Sequence[str], what: str) -> list[float | None]:
    column = _column(table, [*known, *(f"{name}ms" for name in known)], what)
    values = table.numbers([column]).times(table.column(column))
    if not plain_name(column).endswith("ms"):
        return values
    return [None if value is None else value / 1000 for value in values]


def _column(table: Table, known: Sequence[str], what: str) -> str:
    found = _named(table, known)
    if found is None:
        have = ", ".join(filter(None, table.names))
        raise DataError(f"{table.path} has no column of {what} (it has: {have})")
    return found


def _named(table: Table, known: Sequence[str]) -> str | None:
    """The first of these columns that the table has."""
    plain = {plain_name(name): name for name in reversed(table.names)}
    return next((plain[name] for name in known if name in plain), None)
