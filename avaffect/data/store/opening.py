"""Opening stores: one descriptor for reading the header and for mapping the values.

If a store is made again while it is read, its path names another file. A descriptor stays with one
file, so that the offsets belong to the mapped bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from avaffect.core import faults, filekind
from avaffect.core.errors import AvaffectError, DataError, ForeignError
from avaffect.core.filekind import HDF5_SIGNATURE
from avaffect.core.nouns import count_of
from avaffect.data.store import schema
from avaffect.data.store.heaps import check_heaps

# Exceptions of h5py and of parsing for a file with a damaged structure.
DAMAGE = (KeyError, ValueError, OSError, RuntimeError, TypeError, AttributeError, IndexError)


class _Positioned(io.RawIOBase):
    """A descriptor that is read by explicit position, as forked processes share its own position.
    Raises ValueError for bytes on which HDF5 would not end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._position = descriptor, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += os.fstat(self._descriptor).st_size
        elif whence == os.SEEK_CUR:
            offset += self._position
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = os.preadv(self._descriptor, [buffer], self._position)
        check_heaps(self._descriptor, self._position, memoryview(buffer)[:count])
        self._position += count
        return count


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[tuple[h5py.File, int]]:
    """An HDF5 file, read-only, and its descriptor, open until the block ends.

    Raises DataError for another or no file; MachineFault.
    """
    if not path.is_file():
        raise filekind.other_kind(path, "store")
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise damaged(path, error) from error
    try:
        try:
            file = h5py.File(_Positioned(descriptor), "r", locking=False)
        except OSError as error:
            if error.errno in faults.FROM_SYSTEM:
                raise faults.of_file(path, error.errno) from error
            raise _not_a_store(path, descriptor, str(error)) from error
        except ValueError as error:
            raise damaged(path, error) from error
        with file:
            yield file, descriptor
    finally:
        os.close(descriptor)


def check_size(path: Path) -> None:
    """Raises DataError if bytes follow the end that is in the superblock of the file; if bytes are
    missing, the file does not open."""
    with path.open("rb") as stream:
        start = stream.read(48)
        there = os.fstat(stream.fileno()).st_size
    # See "Disk Format: Level 0A" in HDF5's File Format Specification; addresses of 8 bytes.
    version = start[len(HDF5_SIGNATURE)]
    at = 40 if version < 2 else 28
    end = int.from_bytes(start[at : at + 8], "little")
    if there > end:
        raise DataError(
            f"{path} is damaged: {count_of(there - end, 'byte was', 'bytes were')} appended to it; "
            "make it again"
        )


def damaged(path: Path, error: BaseException) -> AvaffectError:
    """The error for an exception of DAMAGE: the machine is at fault, or the file is damaged."""
    if isinstance(error, OSError) and error.errno in faults.FROM_SYSTEM:
        return faults.of_file(path, error.errno)
    return DataError(f"{path} is damaged: {error}; make it again")


def _not_a_store(path: Path, descriptor: int, said: str) -> DataError:
    """The error for a file that does not open as HDF5."""
    start = os.pread(descriptor, len(HDF5_SIGNATURE), 0)
    if start and HDF5_SIGNATURE.startswith(start):
        reason = "cut short" if "truncated" in said else "cut short or damaged"
        return DataError(f"{path} is {reason}; make it again")
    return filekind.other_kind(path, "store")


def check_header(path: Path, file: h5py.File) -> str:
    """The version of a store. Raises DataError for another file, another major version, or an
    unfinished store."""
    try:
        found = {name: file.attrs.get(name) for name in ("format", "format_version", "complete")}
    except DAMAGE as error:
        raise damaged(path, error) from error
    if found["format"] != schema.FORMAT:
        raise ForeignError(f"{path} is an HDF5 file, but not an {schema.FORMAT}")
    version = str(found["format_version"])
    if version.split(".")[0] != schema.VERSION.split(".")[0]:
        raise DataError(
            f"{path} is a store of version {version}; this program reads version "
            f"{schema.VERSION.split('.')[0]}.x"
        )
    if not found["complete"]:
        raise DataError(f"{path} is incomplete; make it again")
    return version
