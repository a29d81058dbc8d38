"""Tables that may be too large for memory: column names now, rows as they are read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from avaffect.core import faults, unchanged
from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.data.tables.reader import arff_header, header_of, unquoted
from avaffect.data.tables.texts import lines_of, nfc

# Lines among which the row of names is looked for.
HEAD = 100
PARQUET = ".parquet"

Row = tuple[int, list[Any]]


@dataclass(frozen=True)
class StreamedTable:
    """names: of the columns, "" where one has none; delimiter: of fields; rows: starts to read
    (line number, fields), a field for each name: texts, or numbers and None of Parquet, which has
    row numbers in place of line numbers. Empty rows and comments are skipped.

    Rows raise DataError with file and line where one has too many or too few fields.
    """

    path: Path
    names: list[str]
    delimiter: str
    rows: Callable[[], Iterator[Row]]


def stream_table(path: Path) -> StreamedTable:
    """Open a table: ARFF or Parquet by the suffix, CSV otherwise, as `read_table` reads it.

    Raises DataError where it is no table, UsageError where it is Parquet and pyarrow is missing.
    """
    suffix = path.suffix.lower()
    if suffix == PARQUET:
        return _parquet(path)
    if suffix == ".arff":
        names, _, start = arff_header(path, lines_of(path))
        delimiter, comment = ",", "%"
    else:
        head = list(islice(lines_of(path), HEAD))
        start, delimiter, head = header_of(path, head, blanks=True)
        comment = "#"
        fields = next(csv.reader([head[start]], delimiter=delimiter, skipinitialspace=True))
        names = [unquoted(field.strip()) for field in fields]
        start += 1
    names = [nfc(name) for name in names]

    def rows() -> Iterator[Row]:
        try:
            yield from _rows(path, start, len(names), delimiter, comment)
        except csv.Error as error:
            raise DataError(
                f"{path}: not a table ({error}); check for a quotation mark that is not closed"
            ) from error

    return StreamedTable(path, names, delimiter, rows)


def _rows(path: Path, start: int, width: int, delimiter: str, comment: str) -> Iterator[Row]:
    number = start

    def lines() -> Iterator[str]:
        nonlocal number
        for line in islice(lines_of(path), start, None):
            number += 1
            if not line.startswith(comment):
                yield line

    for fields in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True):
        if len(fields) > width and not any(field.strip() for field in fields[width:]):
            # A separator at the end of each row adds no field.
            del fields[width:]
        if len(fields) != width:
            if not any(field.strip() for field in fields):
                continue
            raise DataError(
                f"{path}, line {number}: {count_of(len(fields), 'field')}, but "
                f"{count_of(width, 'column')}"
            )
        yield number, fields


def _parquet(path: Path) -> StreamedTable:
    if find_spec("pyarrow") is None:
        raise UsageError(
            f"{path}: Parquet needs pyarrow (python -m pip install pyarrow), or save it as CSV"
        )
    import pyarrow
    from pyarrow import parquet

    def damaged(error: Exception) -> DataError:
        faults.check_machine(path, error)
        return DataError(f"{path} is no Parquet file, or is damaged ({error})")

    damage = (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError)
    try:
        names = [nfc(name) for name in parquet.read_schema(path).names]
    except damage as error:
        raise damaged(error) from error

    def rows() -> Iterator[Row]:
        number = 0
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1024):
                    columns = [column.to_pylist() for column in batch.columns]
                    for fields in zip(*columns):
                        number += 1
                        yield number, list(fields)
            unchanged.check(path)
        except damage as error:
            raise damaged(error) from error

    return StreamedTable(path, names, "", rows)
