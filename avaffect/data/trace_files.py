"""Traces as corpora publish them: tables of a time and one value or more a line, CSV or ARFF.

CSV: a row of column names, then numbers, between semicolons, tabs, commas or blanks. ARFF: Weka's
format, which RECOLA and the AVEC challenges use; its sparse rows are not read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.items import LARGEST

SUFFIXES = (".csv", ".tsv", ".txt", ".arff")
# A line with one of these is split by it: a decimal comma may stand between semicolons.
DELIMITERS = ";\t, "
MISSING = ("", "?", "na", "n/a", "nan", "null", "none")
# As they read without capitals, blanks and signs: Time (s), frame_time, timeStamp.
TIME_NAMES = ("time", "times", "timesec", "timeseconds", "timestamp", "frametime", "seconds", "t")
FILE_NAMES = ("name", "instancename", "instance", "file", "filename", "recording", "id")
NUMBER_TYPES = ("numeric", "real", "integer")
QUOTES = "'\""
# How far a time may stand from an even grid, in steps: files round times.
UNEVEN = 0.1
# No trace is as slow as this: its times are milliseconds, or numbers of frames.
SLOWEST_STEP_S = 10.0

Rows = Iterator[tuple[int, list[str]]]


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


@dataclass(frozen=True)
class _Table:
    """Names of columns, the numbers of those that hold no values, and rows with their lines."""

    names: list[str]
    aside: set[int]
    rows: Rows
    decimal_comma: bool = False


def find_trace_files(folder: Path) -> dict[str, Path]:
    """Name without suffix -> file, of the tables directly in a folder, in the order of names.

    Raises DataError where there is none, or two of them bear one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} bear one name; keep one of them")
        found[path.stem] = path
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
    if not path.is_file():
        raise DataError(f"{path}: no such file of traces")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason})") from error
    table = _arff(path, lines) if path.suffix.lower() == ".arff" else _csv(path, lines, names)
    for name in table.names:
        if name and table.names.count(name) > 1:
            raise DataError(f"{path} has two columns called {name!r}; rename one")
    place = next((k for k, name in enumerate(table.names) if _plain(name) in TIME_NAMES), None)
    if place is None and rate_hz is None:
        have = ", ".join(filter(None, table.names))
        raise DataError(
            f"{path} has no column of times, called time, timestamp or frameTime (it has: {have})"
        )
    return _traces(path, table, place, rate_hz)


def _csv(path: Path, lines: list[str], names: Sequence[str] | None) -> _Table:
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise DataError(f"{path} is empty: its first line must name the columns")
    delimiter = next((mark for mark in DELIMITERS if mark in first.strip()), ",")
    rows = _split(path, enumerate(lines, start=1), delimiter, '"')
    given = next(rows)[1] if names is None else list(names)
    known = any(_plain(name) in (*TIME_NAMES, *FILE_NAMES) for name in given)
    # SEWA's tables begin with the recording's name; raters may be called by numbers.
    if not known and all(_number(name, True) is not None for name in given[1:] or given):
        raise DataError(
            f"{path}: its first line holds numbers; it must name the columns, one of them time"
        )
    aside = {k for k, name in enumerate(given) if not name or _plain(name) in FILE_NAMES}
    return _Table(given, aside, rows, decimal_comma=delimiter != ",")


def _arff(path: Path, lines: list[str]) -> _Table:
    names: list[str] = []
    aside: set[int] = set()
    for number, line in enumerate(lines, start=1):
        word, _, rest = line.replace("\t", " ").strip().partition(" ")
        if word.lower() == "@data":
            if not names:
                raise DataError(f"{path}: no @attribute stands before @data (line {number})")
            data = enumerate(lines[number:], start=number + 1)
            rows = [(k, text) for k, text in data if not text.lstrip().startswith("%")]
            quote = '"' if any('"' in text for _, text in rows) else "'"
            return _Table(names, aside, _split(path, rows, ",", quote))
        if word.lower() == "@attribute":
            name, kind = _attribute(path, number, rest.strip())
            if kind.lower() not in NUMBER_TYPES:
                aside.add(len(names))
            names.append(name)
        elif word and not word.startswith("%") and word.lower() != "@relation":
            raise DataError(f"{path}, line {number}: not ARFF: {line.strip()[:40]!r}")
    raise DataError(f"{path} is no whole ARFF file: it has no @data")


def _attribute(path: Path, line: int, text: str) -> tuple[str, str]:
    """Name and type; the name may stand in quotation marks."""
    if text[:1] and text[0] in QUOTES:
        name, _, kind = text[1:].partition(text[0])
    else:
        name, _, kind = text.partition(" ")
    if not name or not kind.strip():
        raise DataError(f"{path}, line {line}: an attribute needs a name and a type: {text[:40]!r}")
    return name.strip(), kind.strip()


def _split(path: Path, lines: Iterable[tuple[int, str]], delimiter: str, quote: str) -> Rows:
    """(line, fields without blanks and quotation marks around them); empty lines are skipped."""
    kept = [(number, line.strip(" ")) for number, line in lines if line.strip()]
    reader = csv.reader(
        (line for _, line in kept), delimiter=delimiter, quotechar=quote, strict=True,
        skipinitialspace=True,
    )  # fmt: skip
    try:
        for fields in reader:
            yield kept[reader.line_num - 1][0], [field.strip().strip(QUOTES) for field in fields]
    except csv.Error as error:
        raise DataError(f"{path}, line {kept[reader.line_num - 1][0]}: not a table ({error})"
                        ) from error  # fmt: skip


def _traces(path: Path, table: _Table, place: int | None, rate_hz: float | None) -> TraceFile:
    """The rows as numbers. place: of the column of times; None where rate_hz gives them."""
    rows = list(table.rows)
    if not rows:
        raise DataError(f"{path} has no values: nothing follows the names of its columns")
    for line, fields in rows:
        if len(fields) != len(table.names):
            raise DataError(
                f"{path}, line {line}: {len(fields)} fields, but {len(table.names)} columns"
            )
    aside = set(table.aside)
    if place != 0 and _number(rows[0][1][0], table.decimal_comma) is None:
        aside.add(0)
    numbers = {
        name: _column(path, rows, k, name, table.decimal_comma)
        for k, name in enumerate(table.names)
        if k not in aside
    }
    times = np.arange(len(rows)) / rate_hz if place is None else numbers.pop(table.names[place])
    if not numbers:
        raise DataError(f"{path} has times, but no column of values")
    _check_times(path, times, [line for line, _ in rows])
    return TraceFile(path, times, numbers, _recording(path, table.names, aside, rows))


def _column(
    path: Path, rows: list[tuple[int, list[str]]], place: int, name: str, decimal_comma: bool
) -> np.ndarray:
    found = np.empty(len(rows))
    for k, (line, fields) in enumerate(rows):
        value = _number(fields[place], decimal_comma)
        if value is None:
            raise DataError(f"{path}, line {line}: {name} is {fields[place]!r}, which is no number "
                            f"(within {LARGEST:.0e})")  # fmt: skip
        found[k] = value
    return found


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


def _number(text: str, decimal_comma: bool) -> float | None:
    """NaN where it is missing, None where it is no number that float32 holds."""
    if text.lower() in MISSING:
        return math.nan
    try:
        value = float(text.replace(",", ".") if decimal_comma else text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
