"""Writing the HDF5 file of a store from parts that need not fit in memory.

The writer (with parts in spool files) and `merge` (with parts in other stores) both end here, so
that equal content gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from avaffect.core.atomic import publish, workspace
from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json
from avaffect.core.nouns import count_of
from avaffect.core.provenance import Provenance
from avaffect.core.writing import check_room
from avaffect.data.store import integrity, schema
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec

# One version of the file format for all libraries: equal bytes, and attributes over 64 kB.
LIBRARY_VERSIONS = ("v108", "v108")
# Mapped arrays start on a cache line, for any element type.
ALIGNMENT = 64

# Estimated bytes of a dataset's header and attributes.
STRUCTURE_BYTES = 1 << 10

Blocks = Callable[[], Iterable[np.ndarray]]


@dataclass
class Ragged:
    """Steps of N utterances. `blocks` gives them in order, as arrays (steps, ...) of any length.

    lengths (N,) int64, digests (N, 32) uint8.
    """

    lengths: np.ndarray
    digests: np.ndarray
    blocks: Blocks

    @property
    def offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]).astype("<i8")


@dataclass
class Contents:
    """The contents of a store without its provenance. A column is a list of strings or an array."""

    ids: list[str]
    meta: dict[str, list[str] | np.ndarray] = field(default_factory=dict)
    streams: dict[str, tuple[StreamSpec, Ragged]] = field(default_factory=dict)
    labels: dict[str, tuple[LabelSpec, np.ndarray | Ragged]] = field(default_factory=dict)
    pooled: dict[str, tuple[PooledSpec, Blocks]] = field(default_factory=dict)


def write_store(output: Path, contents: Contents, provenance: Provenance) -> str:
    """Write a store; it appears at `output` when it is complete. Returns its content id."""
    with workspace(output) as folder:
        temporary = folder / output.name
        content = lay_out(temporary, contents, provenance)
        publish(temporary, output)
    return content


def lay_out(path: Path, contents: Contents, provenance: Provenance) -> str:
    """Write a store's file at `path`; returns its content id."""
    for group in (contents.meta, contents.streams, contents.labels, contents.pooled):
        for name in group:
            _check_name(name)
    # On a full disk HDF5 fails again for every object that it releases: reserve the space before.
    check_room(path.parent, _size(contents))
    with h5py.File(
        path,
        "w",
        locking=False,
        libver=LIBRARY_VERSIONS,
        alignment_threshold=1,
        alignment_interval=ALIGNMENT,
    ) as file:
        columns = _Columns(file)
        columns.lay("id", _texts(contents.ids))
        for name, column in sorted(contents.meta.items()):
            columns.lay(f"meta/{name}", _texts(column) if isinstance(column, list) else column)
        for name, (label, values) in sorted(contents.labels.items()):
            _lay_label(columns, name, label, values)
        for name, (stream, ragged) in sorted(contents.streams.items()):
            blocks = _lay_ragged(columns, f"streams/{name}", ragged, stream.dtype, stream.shape)
            if blocks is not None:
                columns.lay(f"block_digest/{name}", blocks)
            attributes = stream.attributes()
            if stream.statistics:
                attributes["statistics"] = canonical_json(stream.statistics)
            file[f"streams/{name}"].attrs.update(attributes)
            columns.lay(f"digest/{name}", ragged.digests)
        pooled_digests = {
            name: _lay_pooled(file, name, spec, blocks, len(contents.ids))
            for name, (spec, blocks) in sorted(contents.pooled.items())
        }
        columns.digests |= {f"pooled/{name}": found for name, found in pooled_digests.items()}
        content = _content_id(contents, pooled_digests)
        record = canonical_json(provenance)
        file["provenance"] = record
        file.attrs.update(
            format=schema.FORMAT,
            format_version=schema.VERSION,
            count=len(contents.ids),
            content_id=content,
            header_digest=schema.header_digest(
                schema.VERSION, content, len(contents.ids), record, _specs(contents)
            ),
            column_digests=canonical_json(columns.digests),
            complete=True,
        )
    return content


@dataclass
class _Columns:
    """Datasets that are read as a whole, with the digests that readers compare."""

    file: h5py.File
    digests: dict[str, str] = field(default_factory=dict)

    def lay(self, name: str, values: np.ndarray) -> None:
        values = np.asarray(values)
        self.file.create_dataset(name, data=values)
        self.digests[name] = schema.array_digest(values)


def _specs(contents: Contents) -> schema.Specs:
    return schema.Specs(
        {name: spec for name, (spec, _) in contents.streams.items()},
        {name: spec for name, (spec, _) in contents.labels.items()},
        {name: spec for name, (spec, _) in contents.pooled.items()},
    )


def _size(contents: Contents) -> int:
    """Upper bound of a store's bytes: its arrays, strings with four bytes a character, and HDF5's
    headers."""
    arrays = [(spec.dtype, spec.shape, steps) for spec, steps in contents.streams.values()]
    arrays += [
        ("float32", spec.step_shape, values)
        for spec, values in contents.labels.values()
        if isinstance(values, Ragged)
    ]
    size = sum(
        int(steps.lengths.sum()) * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        + steps.digests.nbytes
        + steps.lengths.nbytes
        for dtype, shape, steps in arrays
    )
    # Digests of blocks, which are longer than half of PART_BYTES.
    size += 2 * 32 * size // integrity.PART_BYTES
    count = len(contents.ids)
    size += sum(4 * count * spec.dim for spec, _ in contents.pooled.values())
    for column in (contents.ids, *contents.meta.values()):
        if isinstance(column, list):
            size += 4 * count * max(map(len, column), default=1)
        else:
            size += column.nbytes
    size += sum(v.nbytes for _, v in contents.labels.values() if isinstance(v, np.ndarray))
    groups = (contents.streams, contents.streams, contents.labels, contents.pooled, contents.meta)
    return size + STRUCTURE_BYTES * (4 + sum(len(group) for group in groups))


def _content_id(contents: Contents, pooled_digests: dict[str, str]) -> str:
    return schema.store_content_id(
        contents.ids,
        contents.meta,
        {
            name: (spec, ragged.offsets, ragged.digests)
            for name, (spec, ragged) in contents.streams.items()
        },
        {
            name: (spec, values.digests if isinstance(values, Ragged) else values)
            for name, (spec, values) in contents.labels.items()
        },
        {name: (spec, pooled_digests[name]) for name, (spec, _) in contents.pooled.items()},
    )


def _lay_label(columns: _Columns, name: str, spec: LabelSpec, values: np.ndarray | Ragged) -> None:
    if isinstance(values, Ragged):
        _lay_ragged(columns, f"labels/{name}", values, "float32", spec.step_shape)
        columns.lay(f"labels/{name}/digest", values.digests)
    else:
        columns.lay(f"labels/{name}", values)
    columns.file[f"labels/{name}"].attrs.update(spec.attributes())


def _lay_ragged(
    columns: _Columns, name: str, ragged: Ragged, dtype: str, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Returns the digests of blocks of the values, where an utterance is long."""
    steps = int(ragged.lengths.sum())
    step_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    values, digests = ragged.blocks(), None
    if integrity.is_long(int(ragged.lengths.max(initial=0)) * step_bytes):
        lengths = integrity.block_lengths(steps, integrity.block_steps(step_bytes))
        digests = bytearray()
        values = _hashed(values, integrity.RowHashes(lengths), digests)
    _lay(columns.file, f"{name}/values", values, dtype, (steps, *shape))
    columns.lay(f"{name}/offsets", ragged.offsets)
    return None if digests is None else digest_rows(digests)


def _hashed(
    blocks: Iterable[np.ndarray], hashes: integrity.RowHashes, digests: bytearray
) -> Iterator[np.ndarray]:
    """The blocks; the digests of `hashes` are added to `digests`."""
    for block in blocks:
        digests += b"".join(hashes.update(block))
        yield block


def _lay_pooled(file: h5py.File, name: str, spec: PooledSpec, blocks: Blocks, count: int) -> str:
    """Write pooled vectors; returns their array digest."""
    state = schema.array_digest_start("<f4", (count, spec.dim))

    def hashed() -> Iterator[np.ndarray]:
        for block in blocks():
            state.update(memoryview(block).cast("B"))
            yield block

    dataset = _lay(file, f"pooled/{name}", hashed(), "float32", (count, spec.dim))
    dataset.attrs.update(spec.attributes())
    return state.hexdigest()


def _lay(
    file: h5py.File, name: str, blocks: Iterable[np.ndarray], dtype: str, shape: tuple[int, ...]
) -> h5py.Dataset:
    dataset = file.create_dataset(name, shape=shape, dtype=np.dtype(dtype).newbyteorder("<"))
    start = 0
    for block in blocks:
        dataset[start : start + len(block)] = block
        start += len(block)
    if start != shape[0]:
        raise ValueError(f"{name}: {count_of(start, 'step')}, expected {shape[0]}")
    return dataset


def _texts(values: list[str]) -> np.ndarray:
    """Fixed-length UTF-8: contiguous, and a hundred times faster to read than variable length."""
    try:
        encoded = [value.encode("utf-8") for value in values]
    except UnicodeEncodeError as error:
        raise DataError(f"the text {error.object!r} is not valid Unicode; correct it") from error
    for value in encoded:
        # HDF5 pads such strings with NUL: one inside would be lost silently.
        if b"\0" in value:
            raise DataError(f"the text {value.decode()!r} contains a NUL character; remove it")
    width = max((len(value) for value in encoded), default=1) or 1
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", width))


def _check_name(name: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise DataError(f"{name!r} cannot name a field, a label or a stream of a store; rename it")


def digest_rows(digests: bytes | bytearray) -> np.ndarray:
    """(N, 32) uint8 from N digests, one after the other."""
    return np.frombuffer(bytes(digests), dtype=np.uint8).reshape(-1, 32)
