"""Features in NumPy's files: .npy, one array, and .npz, several by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avaffect.core import faults, filekind, unchanged
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.unpacking import check_unpacked
from avaffect.data.feature_files.rows import Rows, as_float32

_MAGIC = b"\x93NUMPY"


def read_array(path: Path, name: str) -> Rows:
    """The features of one utterance: .npy, or .npz with one array. (D,) is one vector; (T, D) are
    rows, as are (1, T, D).

    Raises DataError where the file is damaged or holds no such array of numbers.
    """
    return as_rows(path, name, _load(path))


def read_archive(path: Path) -> Iterator[Rows]:
    """The utterances of an .npz, whose arrays are named by their ids.

    Raises DataError as `read_array`, and where it is empty, or two arrays have one id.
    """
    with _opened(path) as archive:
        if not archive.files:
            raise DataError(f"{path} is empty: it has no array")
        twice = [name for name, count in Counter(archive.files).items() if count > 1]
        if twice:
            raise DataError(
                f"{path}: {count_of(len(twice), 'id occurs', 'ids occur')} twice "
                f"({', '.join(twice[:5])})"
            )
        for name in archive.files:
            yield as_rows(path, name, _member(path, archive, name))


def as_rows(path: Path, name: str, values: np.ndarray) -> Rows:
    """An array as an utterance's features; DataError for another shape or type."""
    where = f"{path} ({name})" if path.suffix.lower() == ".npz" else str(path)
    if values.dtype.kind not in "fiub":
        raise DataError(f"{where} has values of type {values.dtype}, not numbers")
    shape = values.shape
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim not in (1, 2) or 0 in values.shape:
        why = "is empty" if 0 in shape else "is no vector and has no rows of features"
        raise DataError(f"{where} {why}: its shape is {shape}, expected (D,) or (T, D)")
    rows = as_float32(np.atleast_2d(values))
    return Rows(name, rows, np.ones(len(rows), dtype=bool), None, 0, where)


def has_several(path: Path) -> bool:
    """Whether an utterance of an array file has more than one row. DataError as above."""
    if path.suffix.lower() == ".npz":
        return any(len(rows.values) > 1 for rows in read_archive(path))
    return len(read_array(path, path.stem).values) > 1


def _load(path: Path) -> np.ndarray:
    if path.suffix.lower() != ".npz":
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        # NumPy raises errors of zip, of Python's own parser and tokenizer, and of sizes.
        except Exception as error:
            raise _damaged(path, error) from error
        unchanged.check(path)
        return found
    with _opened(path) as archive:
        if len(archive.files) != 1:
            raise DataError(
                f"{path} has {count_of(len(archive.files), 'array')} "
                f"({', '.join(archive.files[:5])}); in a folder each file holds one utterance's; "
                "name the file itself if its arrays have ids as names"
            )
        return _member(path, archive, archive.files[0])


def _member(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """An array of an .npz; what is no array comes as bytes."""
    try:
        _check_size(path, archive, name)
        found = archive[name]
    except DataError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path} has {name!r}, which is no array")
    return found


def _check_size(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> None:
    """Raises ValueError where an array claims more numbers than its part of the archive holds, and
    DataError where that is packed too small to be one of features."""
    zipped = archive.zip
    assert zipped is not None
    entry = zipped.getinfo(name if name in zipped.namelist() else f"{name}.npy")
    check_unpacked(path, entry)
    with zipped.open(entry) as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return
        stream.seek(0)
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        there = entry.file_size - stream.tell()
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > there:
        raise ValueError(f"it claims {shape} numbers, more than are there")


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    try:
        found = np.load(path, allow_pickle=False)
    except Exception as error:
        raise _damaged(path, error) from error
    unchanged.check(path)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise DataError(
            f"{path} is no .npz file: it has one array without a name; rename it to .npy"
        )
    return found


def _damaged(path: Path, error: Exception) -> DataError:
    faults.check_machine(path, error)
    kind = filekind.kind_of(path)
    if kind not in (filekind.ARRAY, filekind.ZIP):
        return DataError(f"{path} is {kind}; a file of NumPy was expected")
    # Of an array of objects, read as a whole or mapped.
    if isinstance(error, ValueError) and ("allow_pickle" in str(error) or "objects" in str(error)):
        return DataError(
            f"{path} has objects of Python (pickle), which are not read: they can run any code; "
            "save an array of numbers"
        )
    return DataError(f"{path} is damaged or cut short ({str(error)[:200]})")
