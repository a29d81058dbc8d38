"""Finding files of features, and opening them as utterances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from avaffect.core import faults, filekind
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.data.feature_files import arrays, tables
from avaffect.data.feature_files.layouts import Layout, Wanted, layout_of, like
from avaffect.data.feature_files.rows import Rows
from avaffect.data.names import files_by_name
from avaffect.data.tables.streamed import PARQUET, StreamedTable, stream_table

ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv", ".arff", PARQUET)
# A single table may have this suffix; in a folder, other texts of tools have it too.
TEXT = ".txt"


@dataclass(frozen=True)
class Files:
    """path: a folder or a file; found: name -> file, one an utterance, in the order of names; the
    file alone, without a name, where it holds many utterances."""

    path: Path
    found: dict[str, Path]

    @property
    def content_id(self) -> str:
        """The identity of the files' content, and of their names in a folder."""
        if not self.path.is_dir():
            return file_content_id(self.path)
        return content_id([[name, file_content_id(file)] for name, file in self.found.items()])


def find(path: Path, pattern: str | None = None) -> Files:
    """The files of features at a path: a file, or those in a folder and below it. pattern: of their
    names, such as *.csv; by default all arrays and tables.

    Raises DataError where there is none, two have one name, or they are of several kinds;
    UsageError where a pattern is given for a file.
    """
    if not path.is_dir():
        if pattern is not None:
            raise UsageError(f"--files {pattern}: {path} is not a folder")
        _check_kind(path)
        return Files(path, {"": path})
    wanted = [
        Path(folder) / name
        for folder, _, names in faults.walk(path)
        for name in names
        if _is_wanted(name, pattern)
    ]
    found = files_by_name(
        path, wanted, lambda file: tables.name_of(file.stem),
        "rename one, as it is the id, or choose files with --files",
    )  # fmt: skip
    if not found:
        kinds = ", ".join((*ARRAYS, *TABLES)) if pattern is None else pattern
        raise DataError(f"{path} contains no file of features ({kinds})")
    suffixes = sorted({file.suffix.lower() for file in found.values()})
    if len(suffixes) > 1:
        raise DataError(
            f"{path} contains files of several kinds: {', '.join(suffixes)}; choose with --files "
            f"'*{suffixes[0]}'"
        )
    return Files(path, found)


def _is_wanted(name: str, pattern: str | None) -> bool:
    if name.startswith("."):
        return False
    if pattern is not None:
        return fnmatchcase(name, pattern)
    return Path(name).suffix.lower() in (*ARRAYS, *TABLES)


def _check_kind(path: Path) -> None:
    """Raises DataError where a file is no table and no archive of arrays."""
    kind = filekind.kind_of(path)
    suffix = path.suffix.lower()
    if kind == filekind.ARRAY:
        raise DataError(
            f"{path} is one array, which has no ids; put one file an utterance into a folder and "
            "name the folder, or save an .npz whose arrays have ids as names"
        )
    if suffix not in (*ARRAYS, *TABLES, TEXT) or kind in (filekind.STORE, filekind.CHECKPOINT):
        raise DataError(
            f"{path} is {kind}; expected a folder, a table ({', '.join(TABLES)}) or .npz"
        )


@dataclass(frozen=True)
class Opened:
    """Files of features, of which the first was inspected.

    layout: of the first table, None of arrays; dim: of a vector; sequences: whether utterances have
    rows over time; has_rate: whether the rate is given, so that columns of times do not count.
    """

    files: Files
    wanted: Wanted
    layout: Layout | None
    dim: int
    sequences: bool
    has_rate: bool

    @property
    def tool(self) -> str | None:
        """The tool of the tables, None where it is unknown."""
        return None if self.layout is None else self.layout.tool

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features, none of arrays."""
        return () if self.layout is None else self.layout.features

    @property
    def timed(self) -> bool:
        """Whether rows have times in seconds."""
        return self.sequences and self.layout is not None and self.layout.times is not None

    def utterances(self) -> Iterator[Rows]:
        """The utterances, read one by one. Raises DataError for a bad file."""
        if self.layout is None:
            for name, path in self.files.found.items():
                if name:
                    yield arrays.read_array(path, name)
                else:
                    yield from arrays.read_archive(path)
            return
        first = next(iter(self.files.found.values()))
        for name, path in self.files.found.items():
            table, layout = _open_table(name, path, self.wanted, self.has_rate)
            layout = like(path, layout, self.layout, first)
            yield from tables.read_utterances(table, layout, name or path.stem, self.sequences)


def open_files(files: Files, wanted: Wanted, sequences: bool | None, has_rate: bool) -> Opened:
    """Inspect the first of the files and, without `sequences` (whether utterances have rows over
    time), the first rows of all.

    Raises DataError where the first file is bad, UsageError where an option is for tables, or rows
    have neither times nor a rate.
    """
    name, first = next(iter(files.found.items()))
    if first.suffix.lower() in ARRAYS:
        if wanted != Wanted(labels=wanted.labels):
            raise UsageError(
                f"{first} has no columns: --columns, --exclude, --id, --time and --where are for "
                "tables"
            )
        layout = None
        sample = arrays.read_array(first, name) if name else next(arrays.read_archive(first))
        dim = sample.values.shape[1]
        if sequences is None:
            sequences = any(map(arrays.has_several, files.found.values()))
    else:
        layout = _open_table(name, first, wanted, has_rate)[1]
        dim = len(layout.features)
        if sequences is None:
            opened = (_open_table(*one, wanted, has_rate) for one in files.found.items())
            sequences = any(tables.has_several(*one) for one in opened)
    found = Opened(files, wanted, layout, dim, sequences, has_rate)
    if sequences and not found.timed and not has_rate:
        what = "is an array, which has no times" if layout is None else "has no column of times"
        raise UsageError(f"{first} {what}: give the rows per second with --rate HZ")
    return found


def _open_table(
    name: str, path: Path, wanted: Wanted, has_rate: bool
) -> tuple[StreamedTable, Layout]:
    """A table and its layout. name: of the utterance in the file, "" where a column has ids. Where
    the rate is given, numbers of frames count and times do not."""
    table = stream_table(path)
    layout = layout_of(path, table.names, wanted)
    return table, replace(
        layout, ids=None if name else layout.ids, times=None if has_rate else layout.times
    )
