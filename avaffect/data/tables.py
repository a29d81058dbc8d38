"""Tables of text: CSV and the like with a row of column names."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from avaffect.core.errors import DataError

DELIMITERS = (",", "\t", ";", "|")


def read_rows(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: text without outer blanks}) of a table with a row of column names.

    optional: columns that are given where the table has them. Blanks around the names of columns
    count as little as those around texts. Fields are separated by commas, tabs, semicolons or bars:
    by that which finds the columns. Raises DataError naming the file, and the column that is not
    there or is there twice.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = _delimiter(path, stream.readline(), columns)
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            known = [*columns, *(name for name in optional if name in reader.fieldnames)]
            for row in reader:
                if None in row:
                    raise DataError(
                        f"{path}, line {reader.line_num}: more fields than the first line names "
                        "columns; a field that holds the separator stands in quotes"
                    )
                yield reader.line_num, {name: (row[name] or "").strip() for name in known}
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text; convert it, for instance with "
            f"`iconv -f latin1 -t utf8` ({error.reason} at byte {error.start})"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{path}: not a table ({error}); a quotation mark that is never closed swallows the "
            "rows after it"
        ) from error


def _delimiter(path: Path, line: str, columns: Sequence[str]) -> str:
    """The delimiter under which the first line names all columns."""
    if not line.strip():
        raise DataError(f"{path} is empty: its first line must name the columns")
    readings = {
        d: [name.strip() for name in next(csv.reader([line], delimiter=d))] for d in DELIMITERS
    }
    delimiter = max(DELIMITERS, key=lambda d: (len(set(columns) & set(readings[d])), d == ","))
    there = Counter(readings[delimiter])
    for name in columns:
        if name not in there:
            widest = max(readings.values(), key=len)
            have = ", ".join(there if len(there) > 1 else widest)
            raise DataError(f"{path} has no column {name!r} (it has: {have})")
        if there[name] > 1:
            raise DataError(f"{path} has {there[name]} columns called {name!r}; rename one")
    return delimiter
