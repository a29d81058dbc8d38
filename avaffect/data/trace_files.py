"""Trace files of corpora: tables with a time and one or more values a line, CSV or ARFF.

CSV: a row of column names, then numbers, separated by semicolons, tabs, commas or blanks. ARFF:
Weka's format, used by RECOLA and the AVEC challenges; sparse rows are not supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.filekind import TABLE_SUFFIXES as SUFFIXES
from avaffect.core.nouns import count_of
from avaffect.data.tables.numerals import LARGEST, Numbers
from avaffect.data.tables.reader import Table, plain_name, read_table
from avaffect.data.tables.texts import nfc

# Names in lower case without blanks and signs: Time (s), frame_time, timeStamp.
TIME_NAMES = ("time", "times", "timesec", "timeseconds", "timestamp", "frametime", "seconds", "t")
FILE_NAMES = ("name", "instancename", "instance", "file", "filename", "recording", "id")
# Tolerance of a time against an even grid, in steps, as files round times.
UNEVEN = 0.1
# No trace has steps as long as this: its times are milliseconds, or numbers of frames.
SLOWEST_STEP_S = 10.0


@dataclass(frozen=True)
class TraceFile:
    """One recording's traces.

    times: (T,) float64 seconds, increasing; columns: name -> (T,) float64, NaN if unknown, in the
    file's order; name: the name of the recording in the file, or None.
    """

    path: Path
    times: np.ndarray
    columns: dict[str, np.ndarray]
    name: str | None = None

    @property
    def rate_hz(self) -> float | None:
        """Values a second; None for fewer than two, or if they are not evenly spaced."""
        if len(self.times) < 2:
            return None
        step = (self.times[-1] - self.times[0]) / (len(self.times) - 1)
        even = self.times[0] + step * np.arange(len(self.times))
        if np.abs(self.times - even).max() > UNEVEN * step:
            return None
        return float(f"{1 / step:.6g}")


def find_trace_files(folder: Path) -> dict[str, Path]:
    """Name without suffix -> file, of the tables directly in a folder, in the order of names.

    Raises DataError if there is none, or two have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        name = nfc(path.stem)
        if name in found:
            raise DataError(f"{found[name]} and {path} have the same name; keep one of them")
        found[name] = path
    if not found:
        raise DataError(f"{folder} has no trace files ({', '.join(SUFFIXES)})")
    return found


def read_trace_file(
    path: Path, names: Sequence[str] | None = None, rate_hz: float | None = None
) -> TraceFile:
    """The traces of a file: ARFF by its suffix, CSV otherwise.

    names: of the columns, for CSV without a row of names; rate_hz: for a file without times, whose
    value k is at k / rate_hz seconds. The column of times has a name such as time, timestamp or
    frameTime, and values in seconds. Text in the first column, or in one called name, is the name
    of the recording; a column without a name is ignored.

    Raises DataError, with file and line, for a file that is no table, has no times or no values,
    for times that do not increase, and for a field that is not a number.
    """
    table = read_table(path, names=names, blanks=True)
    if names is None:
        _check_names(path, table.names)
    for name in table.names:
        if name and table.names.count(name) > 1:
            raise DataError(f"{path} has two columns called {name!r}; rename one")
    place = next((k for k, name in enumerate(table.names) if plain_name(name) in TIME_NAMES), None)
    if place is None and rate_hz is None:
        have = ", ".join(filter(None, table.names))
        raise DataError(
            f"{path} has no column of times, called time, timestamp or frameTime (it has: {have})"
        )
    return _traces(path, table, place, rate_hz)


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Raises DataError if the row of names is a row of values."""
    known = any(plain_name(name) in (*TIME_NAMES, *FILE_NAMES) for name in names)
    # SEWA's tables begin with the recording's name; names of raters may be numbers.
    if not known and None not in Numbers((), ";").of(names[1:] or names):
        raise DataError(
            f"{path}: its first line has numbers; it must have the column names, one of them time"
        )


def _traces(path: Path, table: Table, place: int | None, rate_hz: float | None) -> TraceFile:
    """The rows as numbers. place: index of the column of times; None if rate_hz is given."""
    if not table.rows:
        raise DataError(f"{path} has no values after the column names")
    for line, fields in table.rows:
        if len(fields) != len(table.names):
            raise DataError(
                f"{path}, line {line}: {count_of(len(fields), 'field')}, but "
                f"{count_of(len(table.names), 'column')}"
            )
    texts = [list(column) for column in zip(*(fields for _, fields in table.rows), strict=True)]
    aside = set(table.no_numbers)
    if path.suffix.lower() != ".arff":
        aside = {k for k, n in enumerate(table.names) if not n or plain_name(n) in FILE_NAMES}
    written = Numbers([t for k, t in enumerate(texts) if k not in aside], table.delimiter)
    if place != 0 and written.of(texts[0])[0] is None:
        aside.add(0)
    numbers = {
        name: _column(table, k, written.times(of) if k == place else written.of(of))
        for k, (name, of) in enumerate(zip(table.names, texts, strict=True))
        if k not in aside
    }
    if place is None:
        assert rate_hz is not None
        times = np.arange(len(table.rows)) / rate_hz
    else:
        times = numbers.pop(table.names[place])
    if not numbers:
        raise DataError(f"{path} has times, but no column of values")
    _check_times(path, times, [line for line, _ in table.rows])
    return TraceFile(path, times, numbers, _recording(path, table.names, aside, table.rows))


def _column(table: Table, place: int, values: Sequence[float | None]) -> np.ndarray:
    for (line, fields), value in zip(table.rows, values, strict=True):
        if value is None:
            raise DataError(
                f"{table.path}, line {line}: {table.names[place]} is {fields[place]!r}, which is "
                f"not a number, or ambiguous, or beyond {LARGEST:.0e}"
            )
    return np.array(values, dtype=np.float64)


def _check_times(path: Path, times: np.ndarray, lines: list[int]) -> None:
    # Also False where a time is NaN.
    wrong = np.flatnonzero(~(np.diff(times, prepend=-np.inf) > 0))
    if not len(wrong):
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        if step_s >= SLOWEST_STEP_S:
            raise DataError(
                f"{path}: its times are {step_s:g} apart, probably milliseconds or frames; convert "
                "them to seconds"
            )
        return
    k = wrong[0]
    if np.isnan(times[k]):
        raise DataError(f"{path}, line {lines[k]}: the time is missing")
    raise DataError(
        f"{path}, line {lines[k]}: the time {times[k]:g} is not after {times[k - 1]:g}; a file "
        "must have one recording, with increasing times"
    )


def _recording(
    path: Path, names: list[str], aside: set[int], rows: list[tuple[int, list[str]]]
) -> str | None:
    """The name of the recording in the file: the first text column with a name."""
    place = next((k for k in sorted(aside) if names[k]), None)
    if place is None:
        return None
    first = rows[0][1][place]
    for line, fields in rows:
        if fields[place] != first:
            raise DataError(
                f"{path}, line {line}: {names[place]} is {fields[place]!r} after {first!r}; a file "
                "must have one recording: split it by this column"
            )
    return first or None
