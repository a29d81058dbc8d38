"""Stores that refer to other files, or declare what they do not hold, are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from chain import invoke
from stores import write_store

from avaffect.core.errors import DataError
from avaffect.data.store.reader import Store
from avaffect.data.store.structure import read_header

SECRET = b"root:x:0:0:a secret of the reader:/root:/bin/sh\n" * 4
VALUES = "streams/waveform/values"
Change = Callable[[h5py.File, Path, int], None]


def external_storage(file: h5py.File, secret: Path, count: int) -> None:
    del file[VALUES]
    file.create_dataset(VALUES, (count,), "<i2", external=[(str(secret), 0, len(SECRET))])


def virtual_dataset(file: h5py.File, secret: Path, count: int) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.zeros(count, "<i2")
    layout = h5py.VirtualLayout((count,), "<i2")
    layout[:] = h5py.VirtualSource(secret.with_suffix(".h5"), "x", (count,))
    del file[VALUES]
    file.create_virtual_dataset(VALUES, layout)


def external_link(file: h5py.File, secret: Path, count: int) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = np.zeros(count, "<i2")
    del file[VALUES]
    file[VALUES] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "x")


def link_beside(file: h5py.File, secret: Path, count: int) -> None:
    """Where no reader looks today."""
    file["streams/other"] = h5py.SoftLink("/streams/waveform")


def unwritten_chunks(file: h5py.File, secret: Path, count: int) -> None:
    del file[VALUES]
    file.create_dataset(VALUES, (count,), "<i2", chunks=(count,))


def unwritten_compressed_chunks(file: h5py.File, secret: Path, count: int) -> None:
    file.create_dataset("meta/age", (1 << 40,), "f8", chunks=(1 << 16,), compression="gzip")


CHANGES = (external_storage, virtual_dataset, external_link, link_beside, unwritten_chunks,
           unwritten_compressed_chunks)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    write_store(path, {"waveform": (16000.0, [np.arange(96, dtype="int16")])})
    return path


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_is_refused(store: Path, change: Change) -> None:
    secret = store.with_name("passwd")
    secret.write_bytes(SECRET)
    with h5py.File(store, "r+") as file:
        change(file, secret, 96)
    for read in (Store, read_header):
        with pytest.raises(DataError, match=r"a\.h5"):
            read(store)
    for command in (("info", "a.h5"), ("check", "a.h5"), ("merge", "a.h5", "-o", "b.h5")):
        found = invoke(store.parent, *command, status=65)
        assert "secret" not in found.stdout + found.stderr
    assert not store.with_name("b.h5").exists()


def test_compressed_stores_are_read(store: Path) -> None:
    """Repacked by another tool: all values are there."""
    with h5py.File(store, "r+") as file:
        values = file[VALUES][:]
        del file[VALUES]
        file.create_dataset(VALUES, data=values, compression="gzip")
    assert np.array_equal(Store(store).read("waveform", 0), np.arange(96))
