"""What a store must not hold: data of other files, and data that were never written.

HDF5 can declare values that lie in another file (external storage, external links, virtual
datasets), so that a store of a stranger would show any file of its reader. It can also declare
terabytes in a file of a kilobyte: chunks that were never written read as zeros.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of

# Deflate, HDF5's strongest filter, makes a byte of at most this many; values other than zeros are
# never as small.
MOST_COMPRESSED = 1032
LARGE_BYTES = 1 << 28
MOST_COMPRESSED_LARGE = 200


def check(path: Path, file: h5py.File) -> None:
    """Raises DataError where the file at `path` refers to others, or declares more than it holds.

    Reads the structure alone.
    """

    links: list[tuple[bytes, int]] = []
    # h5py cannot pass an exception on through this call.
    file.id.links.visit(lambda name, link: links.append((name, link.type)), info=True)
    for name, kind in links:
        where = name.decode("utf-8", "replace")
        if kind != h5py.h5l.TYPE_HARD:
            raise DataError(f"{path}: {where} is a link to other data, which a store has none of")
        if h5py.h5o.get_info(file.id, name).type == h5py.h5o.TYPE_DATASET:
            _check_dataset(path, where, h5py.h5d.open(file.id, name))


def _check_dataset(path: Path, name: str, dataset: h5py.h5d.DatasetID) -> None:
    creation = dataset.get_create_plist()
    layout = creation.get_layout()
    if layout == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise DataError(
            f"{path}: the values of {name} lie in another file, which a store does not read; copy "
            "them into it"
        )
    space = dataset.get_space()
    declared = space.get_simple_extent_npoints() * dataset.get_type().get_size()
    held = dataset.get_storage_size()
    if layout == h5py.h5d.CHUNKED and creation.get_nfilters():
        held *= MOST_COMPRESSED if declared <= LARGE_BYTES else MOST_COMPRESSED_LARGE
    if declared > held:
        raise DataError(
            f"{path} is damaged: {name} declares {count_of(declared, 'byte')}, of which {held} are "
            "there; make it again"
        )
