"""Rows of features from tables, one utterance at a time; a table is never in memory as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.corpora.common import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from avaffect.data.feature_files.layouts import Layout
from avaffect.data.feature_files.rows import Rows, as_float32
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.numerals import MISSING, Numbers, as_float
from avaffect.data.tables.reader import unquoted
from avaffect.data.tables.streamed import Row, StreamedTable
from avaffect.data.tables.texts import nfc
from avaffect.data.trace_files import SLOWEST_STEP_S

# Rows of Python numbers before they become an array.
BLOCK = 1024
NAMED = 8
TRUTH = {"true": 1.0, "false": 0.0}


def name_of(text: Any) -> str:
    """The id of a field or a file name: of a recording's path its name without suffix."""
    name = nfc(unquoted(str("" if text is None else text).strip()))
    path = PurePosixPath(with_slashes(name))
    of_recording = path.suffix.lower() in (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES)
    return path.stem if of_recording else name


def has_several(table: StreamedTable, layout: Layout) -> bool:
    """Whether the first utterance of a table has more than one row."""
    first = list(islice(table.rows(), 2))
    if len(first) < 2 or layout.ids is None:
        return len(first) == 2
    return bool(first[0][1][layout.ids] == first[1][1][layout.ids])


def read_utterances(
    table: StreamedTable, layout: Layout, name: str, sequences: bool
) -> Iterator[Rows]:
    """The utterances of a table. name: of the one utterance, where there is no column of ids.
    sequences: consecutive rows are one utterance's; otherwise each row is an utterance, and its
    time does not matter.

    Raises DataError with file and line where a field is no number, a time does not come after the
    one before, a row has no id, or an id occurs again.
    """
    rows = table.rows()
    first = next(rows, None)
    if first is None:
        raise DataError(f"{table.path} is empty: no rows follow its column names")
    _check_numbers(table, layout, first)
    ids: set[str] = set()
    group: _Group | None = None
    for line, fields in chain([first], rows):
        text = name if layout.ids is None else fields[layout.ids]
        # Two recordings with one name in two folders are kept apart, to be refused.
        if group is not None and (group.text != text or not sequences):
            yield group.rows()
            group = None
        if group is None:
            own = name_of(text)
            _check_id(table.path, line, own, ids, sequences)
            group = _Group(table, layout, text, own, line, sequences)
        group.add(line, fields)
    assert group is not None
    yield group.rows()


def _check_id(path: Path, line: int, name: str, ids: set[str], sequences: bool) -> None:
    if not name:
        raise DataError(f"{path}, line {line}: the id is missing")
    if name in ids:
        advice = (
            "put an utterance's rows one after the other"
            if sequences
            else "an utterance has one row; with --sequences its rows are frames"
        )
        raise DataError(f"{path}, line {line}: the id {name} occurs twice; {advice}")
    ids.add(name)


def _check_numbers(table: StreamedTable, layout: Layout, first: Row) -> None:
    """Raises DataError naming all columns whose first field is no number."""
    line, fields = first
    wrong = [
        f"{name} ({fields[place]!r})"
        for name, place in zip(layout.features, layout.places)
        if _number(fields[place], table.delimiter) is None
    ]
    if wrong:
        more = f", … {len(wrong)} in all" if len(wrong) > NAMED else ""
        raise DataError(
            f"{table.path}, line {line}: not numbers: {', '.join(wrong[:NAMED])}{more}; leave "
            "columns out with --exclude, or choose with --columns"
        )


@dataclass
class _Group:
    """Rows of one utterance, gathered. text: their id as it is spelled; times: of rows that meet
    the conditions; others: of the other rows, which show the utterance's start and its gaps."""

    table: StreamedTable
    layout: Layout
    text: Any
    name: str
    line: int
    timed: bool
    blocks: list[np.ndarray] = field(default_factory=list)
    pending: list[list[float]] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def add(self, line: int, fields: Sequence[Any]) -> None:
        meets = all(self._meets(fields, *one) for one in self.layout.conditions)
        self.kept.append(meets)
        if self.timed:
            self._add_time(line, fields, meets)
        if not meets:
            return
        texts = [fields[place] for place in self.layout.places]
        try:
            # Python's float also takes 1_0.
            values = [] if _has_underscore(texts) else [float(text) for text in texts]
        except (TypeError, ValueError):
            values = []
        values = values or [self._value(line, fields, place) for place in self.layout.places]
        self.pending.append(values)
        if len(self.pending) == BLOCK:
            self._close_block()

    def rows(self) -> Rows:
        """The complete utterance. Raises DataError where its times are not seconds."""
        self._close_block()
        width = len(self.layout.places)
        values = np.concatenate(self.blocks or [np.zeros((0, width), dtype=np.float32)])
        kept = np.array(self.kept, dtype=bool)
        dropped = int((~kept).sum())
        where = f"{self.table.path}, line {self.line}"
        if not self.times and not self.others:
            return Rows(self.name, values, kept, None, dropped, where)
        own = np.array(self.times, dtype=np.float64)
        times = np.union1d(own, np.array(self.others, dtype=np.float64))
        if self.layout.times is not None and len(times) > 1:
            step = float(np.median(np.diff(times)))
            if step >= SLOWEST_STEP_S:
                raise DataError(
                    f"{where}: its times are {step:g} s apart, as if they were milliseconds or "
                    "numbers of frames; divide them, or give --rate HZ, which ignores them"
                )
        return Rows(self.name, values, np.isin(times, own), times, dropped, where)

    def _close_block(self) -> None:
        if self.pending:
            self.blocks.append(as_float32(np.array(self.pending, dtype=np.float64)))
            self.pending = []

    def _value(self, line: int, fields: Sequence[Any], place: int) -> float:
        found = _number(fields[place], self.table.delimiter)
        if found is None:
            raise DataError(
                f"{self.table.path}, line {line}: {self.table.names[place]} is "
                f"{str(fields[place])!r}, which is no number"
            )
        return found

    def _meets(self, fields: Sequence[Any], place: int, condition: Any) -> bool:
        number = _number(fields[place], self.table.delimiter)
        value = name_of(fields[place]) if number is None else number
        return bool(condition.holds({condition.field: value}))

    def _add_time(self, line: int, fields: Sequence[Any], meets: bool) -> None:
        layout = self.layout
        place = layout.times if layout.times is not None else layout.frames
        if place is None:
            return
        time = _time(fields[place], self.table.delimiter)
        path, column = self.table.path, self.table.names[place]
        if time is None or not math.isfinite(time):
            raise DataError(
                f"{path}, line {line}: {column} is {str(fields[place])!r}, which is no time"
            )
        time *= layout.unit_s
        if not meets:
            self.others.append(time)
            return
        if self.times and time <= self.times[-1]:
            raise DataError(
                f"{path}, line {line}: {column} {time:g} does not come after {self.times[-1]:g} in "
                f"{self.name}; of several faces, choose one with --where (face_id=0)"
            )
        self.times.append(time)


def _has_underscore(texts: Sequence[Any]) -> bool:
    try:
        return "_" in "".join(texts)
    except TypeError:
        # Parquet has numbers.
        return any("_" in text for text in texts if isinstance(text, str))


def _number(value: Any, delimiter: str) -> float | None:
    """A field as a number, NaN where it is missing, None where it is not a number."""
    try:
        return as_float(value) if isinstance(value, str) else float(value)
    except TypeError:
        return math.nan if value is None else None
    except ValueError:
        text = str(value).strip()
        if text.lower() in (*MISSING, "?"):
            return math.nan
        if text.lower() in TRUTH:
            return TRUTH[text.lower()]
        return None if delimiter == "," else Numbers((), delimiter).of([text])[0]


def _time(value: Any, delimiter: str) -> float | None:
    """A field as seconds; also a text such as 0 days 00:00:01.9, and a duration of Parquet."""
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    number = _number(value, delimiter)
    return Numbers((), delimiter).times([str(value).strip()])[0] if number is None else number
