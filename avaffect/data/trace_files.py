"""Trace files of corpora: tables with a time and one or more values a line, CSV or ARFF.

CSV: a row of column names, then numbers, between semicolons, tabs, commas or blanks. ARFF: Weka's
format, which RECOLA and the AVEC challenges use; its sparse rows are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.filekind import TABLE_SUFFIXES as SUFFIXES
from avaffect.data.tables.numerals import LARGEST, Numbers
from avaffect.data.tables.reader import Table, plain_name, read_table
from avaffect.data.tables.texts import nfc

# As they read without capitals, blanks and signs: Time (s), frame_time, timeStamp.
TIME_NAMES = ("time", "times", "timesec", "timeseconds", "timestamp", "frametime", "seconds", "t")
FILE_NAMES = ("name", "instancename", "instance", "file", "filename", "recording", "id")
# How far a time may stand from an even grid, in steps: files round times.
UNEVEN = 0.1
# No trace is as slow as this: its times are milliseconds, or numbers of frames.
SLOWEST_STEP_S = 10.0


@dataclass(frozen=True)
class TraceFile:
    """One recording's traces.

    times: (T,) float64 seconds, each later than the one before; columns: name -> (T,) float64, NaN
    where unknown, in the file's order; name: what the file calls the recording, None where it does
    not say.
    """

    path: Path
    times: np.ndarray
    columns: dict[str, np.ndarray]
    name: str | None = None

    @property
    def rate_hz(self) -> float | None:
        """Values per second; None where they are fewer than two or not evenly spaced."""
        if len(self.times) < 2:
            return None
        step = (self.times[-1] - self.times[0]) / (len(self.times) - 1)
        even = self.times[0] + step * np.arange(len(self.times))
        if np.abs(self.times - even).max() > UNEVEN * step:
            return None
        return float(f"{1 / step:.6g}")


def find_trace_files(folder: Path) -> dict[str, Path]:
    """Name without suffix -> file, of the tables directly in a folder, in the order of names.

    Raises DataError where there is none, or two of them bear one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        name = nfc(path.stem)
        if name in found:
            raise DataError(f"{found[name]} and {path} bear one name; keep one of them")
        found[name] = path
    if not found:
        raise DataError(f"{folder} holds no file of traces ({', '.join(SUFFIXES)})")
    return found


def read_trace_file(
    path: Path, names: Sequence[str] | None = None, rate_hz: float | None = None
) -> TraceFile:
    """The traces of a file: ARFF by its suffix, CSV otherwise.

    names: of the columns, for CSV without a row of names; rate_hz: for a file without times, whose
    value k stands at k / rate_hz seconds. The column of times is called time, timestamp, frameTime
    or the like and holds seconds. Text in the first column, or in one called name, is the
    recording's name; a column without a name is left out.

    Raises DataError with file and line where it is no table, has no times or no values, a time does
    not come after the one before, or a field is no number.
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
    """Raises DataError where a row of names is one of values."""
    known = any(plain_name(name) in (*TIME_NAMES, *FILE_NAMES) for name in names)
    # SEWA's tables begin with the recording's name; raters may be called by numbers.
    if not known and None not in Numbers((), ";").of(names[1:] or names):
        raise DataError(
            f"{path}: its first line holds numbers; it must name the columns, one of them time"
        )


def _traces(path: Path, table: Table, place: int | None, rate_hz: float | None) -> TraceFile:
    """The rows as numbers. place: of the column of times; None where rate_hz gives them."""
    if not table.rows:
        raise DataError(f"{path} has no values: nothing follows the names of its columns")
    for line, fields in table.rows:
        if len(fields) != len(table.names):
            raise DataError(
                f"{path}, line {line}: {len(fields)} fields, but {len(table.names)} columns"
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
                f"no number, or may be two (within {LARGEST:.0e})"
            )
    return np.array(values, dtype=np.float64)


def _check_times(path: Path, times: np.ndarray, lines: list[int]) -> None:
    # Also False where a time is NaN.
    wrong = np.flatnonzero(~(np.diff(times, prepend=-np.inf) > 0))
    if not len(wrong):
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        if step_s >= SLOWEST_STEP_S:
            raise DataError(
                f"{path}: its times are {step_s:g} apart, as those in milliseconds or frames are; "
                "times are in seconds: divide them"
            )
        return
    k = wrong[0]
    if np.isnan(times[k]):
        raise DataError(f"{path}, line {lines[k]}: the time is missing")
    raise DataError(
        f"{path}, line {lines[k]}: the time {times[k]:g} does not come after {times[k - 1]:g}; a "
        "file holds one recording, in the order of time"
    )


def _recording(
    path: Path, names: list[str], aside: set[int], rows: list[tuple[int, list[str]]]
) -> str | None:
    """What the file calls its recording: the first column that was set aside and has a name."""
    place = next((k for k in sorted(aside) if names[k]), None)
    if place is None:
        return None
    first = rows[0][1][place]
    for line, fields in rows:
        if fields[place] != first:
            raise DataError(
                f"{path}, line {line}: {names[place]} is {fields[place]!r} after {first!r}; a file "
                "holds one recording: split it by this column"
            )
    return first or None
