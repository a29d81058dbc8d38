"""Reader of text tables: CSV and similar formats with a row of column names, and ARFF.

One reader for all tables: those of corpora, of users, of predictions, and of traces. ARFF is Weka's
format, used by RECOLA and the AVEC challenges; sparse rows are not supported.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.inputs import STANDARD_INPUT, named
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.data.tables.numerals import Numbers
from avaffect.data.tables.texts import nfc, read_text

DELIMITERS = (",", "\t", ";", "|")
# The first of several that find equally many names: decimal commas may occur between semicolons.
_ORDER = (";", "\t", "|", ",")
_QUOTES = "'\""
_NUMBER_TYPES = ("numeric", "real", "integer")
# Excel's line that declares the separator.
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class Table:
    """names: of the columns, "" for a column without one; rows: line number and texts, stripped of
    blanks and quotation marks, no more than there are names; delimiter: separator of fields;
    no_numbers: columns that the file declares as not numeric (ARFF); comments: numbers of the lines
    after the names that begin with #."""

    path: Path
    names: list[str]
    rows: Rows
    delimiter: str
    no_numbers: frozenset[int] = frozenset()
    comments: tuple[int, ...] = ()

    def column(self, name: str) -> list[str]:
        """The texts of a column, "" if a row is too short."""
        place = self.names.index(nfc(name))
        return [fields[place] if place < len(fields) else "" for _, fields in self.rows]

    def numbers(self, columns: Sequence[str]) -> Numbers:
        """The number format of these columns."""
        return Numbers((self.column(name) for name in columns), self.delimiter)

    def dictionaries(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """(line number, {column: text}) of those columns that the table has."""
        places = {name: self.names.index(nfc(name)) for name in columns if nfc(name) in self.names}
        for line, fields in self.rows:
            yield line, {n: fields[k] if k < len(fields) else "" for n, k in places.items()}


def plain_name(name: str) -> str:
    """A column's name in lower case without blanks and signs: Time (s) becomes times."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def unique_names(
    names: Sequence[str],
    times: Sequence[tuple[float | None, float | None]],
    groups: Sequence[str] | None = None,
) -> list[str]:
    """Unique ids of rows: the name, with the start and end time if several rows of a group have the
    same name."""
    keys = list(zip(groups or [""] * len(names), names, strict=True))
    several = Counter(keys)
    return [
        of_part(name, part) if several[key] > 1 else name
        for key, name, part in zip(keys, names, times, strict=True)
    ]


def of_part(name: str, part: tuple[float | None, float | None]) -> str:
    """The name of a part of a recording, with its start and end in seconds: a_0-0.9, a_0.9-end."""
    start, end = part
    if (start, end) == (None, None):
        return name
    return f"{name}_{_seconds(start or 0.0)}-{'end' if end is None else _seconds(end)}"


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: text}) of a table; see `read_table`."""
    return read_table(path, columns).dictionaries(columns)


def read_table(
    path: Path,
    columns: Sequence[str] = (),
    names: Sequence[str] | None = None,
    blanks: bool = False,
) -> Table:
    """A table of text, `-` for standard input: ARFF by its suffix, CSV otherwise.

    columns: required columns; names: the column names of a CSV without a row of names. The
    separator is declared by a first line such as `sep=;`, or is the one of comma, tab, semicolon,
    bar and blank that finds most of the required columns, or most names if none are required; with
    `blanks` also a blank if there is no other. Empty rows, and lines that begin with #, are
    skipped.

    Raises DataError, with the file and the line, for a file that is no text or no table, and for a
    column that is missing or occurs twice.
    """
    if path != STANDARD_INPUT and not path.is_file():
        what = (
            "a folder; name a table in it"
            if path.is_dir()
            else "no such file; a table was expected"
        )
        raise DataError(f"{path}: {what}")
    # \r ends a line too, as in old files.
    lines = list(io.StringIO(read_text(path), newline=None))
    try:
        if path.suffix.lower() == ".arff":
            found = _arff(path, lines)
        else:
            found = _csv(path, lines, columns, names, blanks)
    except csv.Error as error:
        raise DataError(f"{named(path)}: not a table ({error}); check for a quotation mark that is "
                        "not closed") from error  # fmt: skip
    there = Counter(found.names)
    for name in columns:
        if nfc(name) not in there:
            have = ", ".join(filter(None, there))
            raise DataError(
                f"{named(path)} has no column {name!r} (it has: {have}){meant(name, there)}"
            )
        if there[nfc(name)] > 1:
            raise DataError(
                f"{named(path)} has {count_of(there[nfc(name)], 'column')} called {name!r}; "
                "rename one"
            )
    return found


def _csv(
    path: Path,
    lines: list[str],
    columns: Sequence[str],
    names: Sequence[str] | None,
    blanks: bool,
) -> Table:
    start, delimiter, lines = header_of(path, lines, columns, names, blanks)
    rows, comments = _rows(lines, start, delimiter)
    known = rows.pop(0)[1] if names is None and rows else list(names or ())
    return _table(path, known, rows, delimiter, comments=tuple(comments))


def header_of(
    path: Path,
    lines: list[str],
    columns: Sequence[str] = (),
    names: Sequence[str] | None = None,
    blanks: bool = False,
) -> tuple[int, str, list[str]]:
    """The index of the row of names in a CSV, or with `names` of the first row; the separator; and
    the lines, with a leading # of that row removed. Arguments as of `read_table`.

    Raises DataError where there is no such row.
    """
    start, delimiter = _start(lines)
    if names is None:
        start, lines = _names_line(lines, start, delimiter, columns)
    if start == len(lines):
        raise DataError(f"{named(path)} is empty: its first line must name the columns")
    return start, delimiter or _delimiter(lines[start], columns, blanks, names), lines


def _start(lines: list[str]) -> tuple[int, str | None]:
    """The index of the first line with a text, and the separator that a line before it declares."""
    first, delimiter = None, None
    for place, line in enumerate(lines):
        named = None if delimiter else _SEPARATOR.fullmatch(line.strip("\n"))
        if named:
            first, delimiter = None, named[1]
        # Empty rows of a spreadsheet contain separators.
        elif line.strip("".join((*DELIMITERS, delimiter or "", ' \n"'))):
            first = place if first is None else first
            if not line.startswith("#"):
                break
    return len(lines) if first is None else first, delimiter


def _names_line(
    lines: list[str], start: int, delimiter: str | None, columns: Sequence[str]
) -> tuple[int, list[str]]:
    """The index of the row of names, and the lines, with a leading # of that row removed.

    Comments may precede it, and some programs write # before the names: such a line contains all
    required columns, or, without required columns, is followed by numbers.
    """
    place = start
    while place < len(lines) and (
        not lines[place].strip() or lines[place].lstrip().startswith("#")
    ):
        own = lines[place].strip().lstrip("# ")
        after = "".join(lines[place + 1 : place + 2]).lstrip()[:1]
        fields = _split(own, delimiter or _delimiter(own, columns, True))
        names_all = bool(columns) and {nfc(name) for name in columns} <= set(fields)
        if own and (names_all or (not columns and (after.isdigit() or after in ("-", ".")))):
            return place, [*lines[:place], own + "\n", *lines[place + 1 :]]
        place += 1
    return place, lines


def _delimiter(
    line: str, columns: Sequence[str], blanks: bool, names: Sequence[str] | None = None
) -> str:
    """The separator of the column names."""
    if not columns:
        # The first row of a table without names may contain decimal commas.
        counts = {mark: len(_split(line, mark)) for mark in _ORDER}
        found = max(_ORDER, key=lambda mark: (counts[mark] == len(names or ()), counts[mark]))
        return " " if blanks and found not in line.strip() and " " in line.strip() else found
    wanted = {nfc(name) for name in columns}
    readings = {mark: _split(line, mark) for mark in DELIMITERS}
    known = {mark: len(wanted & set(names)) for mark, names in readings.items()}
    if not any(known.values()):
        if wanted <= {unquoted(name) for name in line.split()}:
            return " "
        # For the message that lists the columns.
        return max(DELIMITERS, key=lambda mark: len(readings[mark]))
    return max(DELIMITERS, key=lambda mark: known[mark])


def _split(line: str, delimiter: str) -> list[str]:
    fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [unquoted(field.strip()) for field in fields]


def unquoted(text: str) -> str:
    """The text without quotation marks that csv does not handle; an apostrophe is kept."""
    paired = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    return text[1:-1] if paired else text


def _rows(
    lines: list[str], start: int, delimiter: str, quote: str = '"', comment: str = "#"
) -> tuple[Rows, list[int]]:
    """Rows that are not empty, and the line numbers of comments. A field in quotation marks may
    span several lines; a comment mark within it does not count."""
    rows: Rows = []
    comments = []
    place = start
    while place < len(lines):
        line = place + 1
        if lines[place].lstrip().startswith(comment):
            comments.append(line)
            place += 1
            continue
        following = (lines[k] for k in range(place + 1, len(lines)))
        reader = csv.reader(
            chain([lines[place].lstrip(" ")], following), delimiter=delimiter, quotechar=quote,
            strict=True, skipinitialspace=True,
        )  # fmt: skip
        try:
            fields = [unquoted(field.strip()) for field in next(reader)]
        except csv.Error as error:
            raise csv.Error(f"line {line}: {error}") from error
        place += reader.line_num
        if any(fields):
            rows.append((line, fields))
    return rows, comments


def _table(
    path: Path,
    names: list[str],
    rows: Rows,
    delimiter: str,
    no_numbers: frozenset[int] = frozenset(),
    comments: tuple[int, ...] = (),
) -> Table:
    for line, fields in rows:
        # A separator at the end of each row adds no field.
        if any(fields[len(names) :]):
            raise DataError(
                f"{named(path)}, line {line}: {count_of(len(fields), 'field')}, but the first "
                "line has "
                f"{len(names)} column names; put a field that contains the separator in quotes"
            )
        del fields[len(names) :]
    return Table(path, names, rows, delimiter, no_numbers, comments)


def _arff(path: Path, lines: list[str]) -> Table:
    names, no_numbers, start = arff_header(path, lines)
    data = (text for text in lines[start:] if not text.lstrip().startswith("%"))
    quote = '"' if any('"' in text for text in data) else "'"
    rows, _ = _rows(lines, start, ",", quote, comment="%")
    return _table(path, names, rows, ",", no_numbers)


def arff_header(path: Path, lines: Iterable[str]) -> tuple[list[str], frozenset[int], int]:
    """Names of an ARFF file's columns, the places of those that have no numbers, and how many lines
    precede its rows.

    Raises DataError where it is no ARFF file.
    """
    names: list[str] = []
    no_numbers: set[int] = set()
    for number, line in enumerate(lines, start=1):
        word, _, rest = line.replace("\t", " ").strip().partition(" ")
        if word.lower() == "@data":
            if not names:
                raise DataError(f"{path}: no @attribute before @data (line {number})")
            return names, frozenset(no_numbers), number
        if word.lower() == "@attribute":
            name, kind = _attribute(path, number, rest.strip())
            if kind.lower() not in _NUMBER_TYPES:
                no_numbers.add(len(names))
            names.append(name)
        elif word and not word.startswith("%") and word.lower() != "@relation":
            raise DataError(f"{path}, line {number}: not ARFF: {line.strip()[:40]!r}")
    raise DataError(f"{path} is not a complete ARFF file: it has no @data")


def _attribute(path: Path, line: int, text: str) -> tuple[str, str]:
    """Name and type; the name may be in quotation marks."""
    if text[:1] and text[0] in _QUOTES:
        name, _, kind = text[1:].partition(text[0])
    else:
        name, _, kind = text.partition(" ")
    if not name or not kind.strip():
        raise DataError(f"{path}, line {line}: an attribute needs a name and a type: {text[:40]!r}")
    return name.strip(), kind.strip()
