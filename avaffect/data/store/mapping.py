"""HDF5 datasets as NumPy arrays, memory-mapped from the file.

The values of a contiguous, unfiltered, little-endian dataset are raw bytes in the file, and are
mapped. Other datasets are read through h5py, which is slower.
"""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from avaffect.core.errors import DataError


def is_mappable(dataset: h5py.Dataset) -> bool:
    """Whether the dataset's bytes can be used as they are in the file."""
    creation = dataset.id.get_create_plist()
    return (
        creation.get_layout() == h5py.h5d.CONTIGUOUS
        and creation.get_nfilters() == 0
        and creation.get_external_count() == 0
        and dataset.dtype.isnative
        and dataset.dtype.kind in "iufb"
        and sys.byteorder == "little"
        and dataset.id.get_offset() is not None
    )


@dataclass(frozen=True)
class Pages:
    """A whole file, mapped read-only. (A mapping must start on a page, a dataset need not.)

    identity: device and inode of the file, as its path may name another file later.
    """

    identity: tuple[int, int, int]
    content: mmap.mmap

    @classmethod
    def of(cls, descriptor: int, before: Pages | None) -> Pages:
        """The pages of an open file; `before` if it belongs to the same file."""
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino, status.st_size
        if before is not None and before.identity == identity:
            return before
        return cls(identity, mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))

    def release(self, values: np.ndarray) -> None:
        """The pages beneath a view of the file leave the memory of this process; others do not."""
        whole = np.frombuffer(self.content, np.uint8)
        start = values.ctypes.data - whole.ctypes.data
        if 0 <= start < len(whole):
            first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
            length = start + values.nbytes - first
            if length > 0:
                self.content.madvise(mmap.MADV_DONTNEED, first, length)


def view_dataset(path: Path, pages: Pages, dataset: h5py.Dataset) -> np.ndarray | None:
    """A dataset of the store at `path` as a read-only array over its mapped file; None if it cannot
    be mapped.

    A plain ndarray, not np.memmap: slicing the subclass costs several times more. Raises DataError
    if the dataset ends beyond the file.
    """
    if dataset.size == 0:
        return np.zeros(dataset.shape, dtype=dataset.dtype)
    if not is_mappable(dataset):
        return None
    offset = dataset.id.get_offset()
    if offset + dataset.nbytes > len(pages.content):
        raise DataError(f"{path} is cut short: {dataset.name} ends beyond the file; make it again")
    flat = np.frombuffer(pages.content, dtype=dataset.dtype, count=dataset.size, offset=offset)
    return flat.reshape(dataset.shape)
