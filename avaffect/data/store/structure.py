"""The head and the structure of a store: its header, specifications, shapes and offsets."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from avaffect.core import plain_json
from avaffect.core.hashing import has_digest
from avaffect.core.headers.store import StoreHeader
from avaffect.data.store import containment, schema
from avaffect.data.store.opening import DAMAGE, check_header, damaged, open_hdf5
from avaffect.data.store.schema import LabelSpec, PooledSpec, Specs, StreamSpec


def read_header(path: Path) -> StoreHeader:
    """Count, content id and provenance of a store, without its structure."""
    with open_hdf5(path) as (file, _):
        return read_head(path, file)[0]


def read_head(path: Path, file: h5py.File) -> tuple[StoreHeader, Specs]:
    """Raises DataError if the header was changed, for versions with a header digest, or if the file
    refers to others."""
    version = check_header(path, file)
    try:
        containment.check(path, file)
        record = file["provenance"][()]
        count, content = int(file.attrs["count"]), str(file.attrs["content_id"])
        specs = read_specs(file)
        found = schema.header_digest(version, content, count, record.decode("utf-8"), specs)
        expected = has_digest(version) or "header_digest" in file.attrs
        if expected and found != file.attrs["header_digest"]:
            raise ValueError("its header (attributes, statistics, provenance) was changed")
        header = StoreHeader(
            version=version, count=count, content_id=content, provenance=plain_json.parse(record)
        )
        return header, specs
    except DAMAGE as error:
        raise damaged(path, error) from error


def read_specs(file: h5py.File) -> Specs:
    streams, labels, pooled = {}, {}, {}
    for name in file.get("streams", ()):
        values = file["streams"][name]["values"]
        attributes = dict(file["streams"][name].attrs)
        streams[name] = StreamSpec.parse(attributes, values.dtype, values.shape[1:])
    for name in file.get("labels", ()):
        labels[name] = LabelSpec.parse(dict(file["labels"][name].attrs))
    for name in file.get("pooled", ()):
        item = file["pooled"][name]
        pooled[name] = PooledSpec.parse(dict(item.attrs), int(item.shape[1]))
    return Specs(streams, labels, pooled)


def check_shape(dataset: h5py.Dataset, shape: tuple[int, ...]) -> None:
    if dataset.shape != shape:
        raise ValueError(f"{dataset.name} has shape {dataset.shape}, not {shape}")


def native(values: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def checked_offsets(group: h5py.Group, offsets: np.ndarray, count: int) -> np.ndarray:
    whole = (
        offsets.shape == (count + 1,)
        and offsets[0] == 0
        and offsets[-1] == len(group["values"])
        and bool(np.all(np.diff(offsets) >= 0))
    )
    if not whole:
        raise ValueError(f"the offsets of {group.name} do not fit its values")
    return offsets
