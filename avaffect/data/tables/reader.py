"""Reading text tables: CSV and the like with a row of column names, and ARFF.

One reader for all tables: corpora's own, anybody's, predictions, and traces. ARFF: Weka's format,
which RECOLA and the AVEC challenges use; its sparse rows are not read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data.tables.numerals import Numbers
from avaffect.data.tables.texts import nfc, read_text

DELIMITERS = (",", "\t", ";", "|")
# Of two that divide names alike the earlier one: a decimal comma may stand between semicolons.
_ORDER = (";", "\t", "|", ",")
_QUOTES = "'\""
_NUMBER_TYPES = ("numeric", "real", "integer")
# What Excel takes as the separator.
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class Table:
    """names: of the columns, "" where one has none; rows: line number and texts without blanks and
    quotation marks around them, no more than names; delimiter: between fields; no_numbers: columns
    that the file says hold none (ARFF); comments: lines after the names that begin with #."""

    path: Path
    names: list[str]
    rows: Rows
    delimiter: str
    no_numbers: frozenset[int] = frozenset()
    comments: tuple[int, ...] = ()

    def column(self, name: str) -> list[str]:
        """The texts of a column, "" where a row is too short."""
        place = self.names.index(nfc(name))
        return [fields[place] if place < len(fields) else "" for _, fields in self.rows]

    def numbers(self, columns: Sequence[str]) -> Numbers:
        """How the numbers in these columns are written."""
        return Numbers((self.column(name) for name in columns), self.delimiter)

    def dictionaries(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """(line number, {column: text}) of those columns that the table has."""
        places = {name: self.names.index(nfc(name)) for name in columns if nfc(name) in self.names}
        for line, fields in self.rows:
            yield line, {n: fields[k] if k < len(fields) else "" for n, k in places.items()}


def plain_name(name: str) -> str:
    """A column's name without capitals, blanks and signs: Time (s) is times."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def told_apart(
    names: Sequence[str],
    times: Sequence[tuple[float | None, float | None]],
    groups: Sequence[str] | None = None,
) -> list[str]:
    """Ids of rows: names, which get the times of their part of the recording where several rows of
    a group have one."""
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
    """A table of text: ARFF by its suffix, CSV otherwise.

    columns: those that must be there; names: those of a CSV without a row of names. Fields are
    separated by what a first line `sep=;` says, else by commas, tabs, semicolons, bars or blanks:
    by that which finds most of the columns, or without columns by that which finds most names, with
    `blanks` also by blanks where there is no other. Rows without a text, and lines that begin with
    #, are skipped.

    Raises DataError naming the file and the line where it is no text or no table, or the column
    that is not there or is there twice.
    """
    if not path.is_file():
        what = (
            "a folder; name a table in it"
            if path.is_dir()
            else "no such file; a table was expected"
        )
        raise DataError(f"{path}: {what}")
    # Old ends of lines count as well.
    lines = list(io.StringIO(read_text(path), newline=None))
    try:
        if path.suffix.lower() == ".arff":
            found = _arff(path, lines)
        else:
            found = _csv(path, lines, columns, names, blanks)
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error}); a quotation mark that is never closed "
                        "swallows the rows after it") from error  # fmt: skip
    there = Counter(found.names)
    for name in columns:
        if nfc(name) not in there:
            have = ", ".join(filter(None, there))
            raise DataError(f"{path} has no column {name!r} (it has: {have})")
        if there[nfc(name)] > 1:
            raise DataError(f"{path} has {there[nfc(name)]} columns called {name!r}; rename one")
    return found


def _csv(
    path: Path,
    lines: list[str],
    columns: Sequence[str],
    names: Sequence[str] | None,
    blanks: bool,
) -> Table:
    start, delimiter = _start(lines)
    if names is None:
        start, lines = _names_line(lines, start, delimiter, columns)
    if start == len(lines):
        raise DataError(f"{path} is empty: its first line must name the columns")
    delimiter = delimiter or _delimiter(lines[start], columns, blanks, names)
    rows, comments = _rows(lines, start, delimiter)
    known = rows.pop(0)[1] if names is None and rows else list(names or ())
    return _table(path, known, rows, delimiter, comments=tuple(comments))


def _start(lines: list[str]) -> tuple[int, str | None]:
    """The place of the first line with a text, and the separator that a line before it names."""
    first, delimiter = None, None
    for place, line in enumerate(lines):
        named = None if delimiter else _SEPARATOR.fullmatch(line.strip("\n"))
        if named:
            first, delimiter = None, named[1]
        # A spreadsheet's empty rows hold separators.
        elif line.strip("".join((*DELIMITERS, delimiter or "", ' \n"'))):
            first = place if first is None else first
            if not line.startswith("#"):
                break
    return len(lines) if first is None else first, delimiter


def _names_line(
    lines: list[str], start: int, delimiter: str | None, columns: Sequence[str]
) -> tuple[int, list[str]]:
    """The place of the row of names, and the lines, in which it does not begin with #.

    Comments may stand before it, and some programs begin the names themselves with #: then that
    line names the columns, or, where none are asked for, numbers follow it.
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
    """What separates the names of columns."""
    if not columns:
        # The first row of a table without names may hold decimal commas.
        counts = {mark: len(_split(line, mark)) for mark in _ORDER}
        found = max(_ORDER, key=lambda mark: (counts[mark] == len(names or ()), counts[mark]))
        return " " if blanks and found not in line.strip() and " " in line.strip() else found
    wanted = {nfc(name) for name in columns}
    readings = {mark: _split(line, mark) for mark in DELIMITERS}
    known = {mark: len(wanted & set(names)) for mark, names in readings.items()}
    if not any(known.values()):
        if wanted <= {_unquoted(name) for name in line.split()}:
            return " "
        # For the message that tells which columns are there.
        return max(DELIMITERS, key=lambda mark: len(readings[mark]))
    return max(DELIMITERS, key=lambda mark: known[mark])


def _split(line: str, delimiter: str) -> list[str]:
    fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [_unquoted(field.strip()) for field in fields]


def _unquoted(text: str) -> str:
    """Without quotation marks that csv does not know; an apostrophe stays."""
    paired = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    return text[1:-1] if paired else text


def _rows(
    lines: list[str], start: int, delimiter: str, quote: str = '"', comment: str = "#"
) -> tuple[Rows, list[int]]:
    """Rows with a text, and the numbers of lines that are comments. A field in quotation marks may
    run over several lines; what begins with the mark there is no comment."""
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
            fields = [_unquoted(field.strip()) for field in next(reader)]
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
        # A separator at the end of each row is no field.
        if any(fields[len(names) :]):
            raise DataError(
                f"{path}, line {line}: more fields ({len(fields)}) than the first line names "
                f"columns ({len(names)}); a field that holds the separator stands in quotes"
            )
        del fields[len(names) :]
    return Table(path, names, rows, delimiter, no_numbers, comments)


def _arff(path: Path, lines: list[str]) -> Table:
    names: list[str] = []
    no_numbers: set[int] = set()
    for number, line in enumerate(lines, start=1):
        word, _, rest = line.replace("\t", " ").strip().partition(" ")
        if word.lower() == "@data":
            if not names:
                raise DataError(f"{path}: no @attribute stands before @data (line {number})")
            data = (text for text in lines[number:] if not text.lstrip().startswith("%"))
            quote = '"' if any('"' in text for text in data) else "'"
            rows, _ = _rows(lines, number, ",", quote, comment="%")
            return _table(path, names, rows, ",", frozenset(no_numbers))
        if word.lower() == "@attribute":
            name, kind = _attribute(path, number, rest.strip())
            if kind.lower() not in _NUMBER_TYPES:
                no_numbers.add(len(names))
            names.append(name)
        elif word and not word.startswith("%") and word.lower() != "@relation":
            raise DataError(f"{path}, line {number}: not ARFF: {line.strip()[:40]!r}")
    raise DataError(f"{path} is no whole ARFF file: it has no @data")


def _attribute(path: Path, line: int, text: str) -> tuple[str, str]:
    """Name and type; the name may stand in quotation marks."""
    if text[:1] and text[0] in _QUOTES:
        name, _, kind = text[1:].partition(text[0])
    else:
        name, _, kind = text.partition(" ")
    if not name or not kind.strip():
        raise DataError(f"{path}, line {line}: an attribute needs a name and a type: {text[:40]!r}")
    return name.strip(), kind.strip()
