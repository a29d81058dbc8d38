"""Writing stores: utterances are spooled beside the output, then laid out once.

HDF5 fixes a dataset's layout when it is made, and only a contiguous one can be mapped into memory.
The total length of a stream is known at the end alone, so each stream grows in a plain spool file
and is copied into its final place when the last utterance is in.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from avaffect.core.atomic import publish, workspace
from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json
from avaffect.core.provenance import Provenance
from avaffect.data import schema
from avaffect.data.schema import LabelSpec, PooledSpec, StreamSpec

COPY_BYTES = 1 << 24
EMPTY_DIGEST = hashlib.sha256(b"").digest()


@dataclass
class _Spool:
    """One growing array on disk: a stream, a trace or pooled vectors."""

    file: BinaryIO
    lengths: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)

    def append(self, values: np.ndarray, steps: int) -> None:
        content = memoryview(np.ascontiguousarray(values)).cast("B") if values.size else b""
        self.file.write(content)
        self.lengths.append(steps)
        self.digests.append(hashlib.sha256(content).digest())

    def append_file(self, source: Path, step_bytes: int) -> None:
        state = hashlib.sha256()
        copied = 0
        with source.open("rb") as stream:
            while block := stream.read(COPY_BYTES):
                state.update(block)
                self.file.write(block)
                copied += len(block)
        self.lengths.append(copied // step_bytes)
        self.digests.append(state.digest())

    @property
    def offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]).astype(np.int64)

    @property
    def digest_rows(self) -> np.ndarray:
        joined = b"".join(self.digests)
        return np.frombuffer(joined, dtype=np.uint8).reshape(len(self.digests), 32)


class StoreWriter:
    """Collects utterances for one store; use `store_writer`, which publishes it when whole."""

    def __init__(
        self,
        folder: Path,
        streams: dict[str, StreamSpec],
        labels: dict[str, LabelSpec],
        pooled: dict[str, PooledSpec],
    ) -> None:
        self.folder = folder
        self.streams, self.labels, self.pooled = streams, labels, pooled
        self.ids: list[str] = []
        self._seen: set[str] = set()
        self._meta: dict[str, list[Any]] = {}
        self._label_values: dict[str, list[Any]] = {
            name: [] for name, spec in labels.items() if spec.kind != "trace"
        }
        traces = [name for name, spec in labels.items() if spec.kind == "trace"]
        self._spools = {
            (group, name): _Spool((folder / f"{group}.{name}.spool").open("w+b"))
            for group, names in (("streams", streams), ("labels", traces), ("pooled", pooled))
            for name in names
        }

    def add(
        self,
        identifier: str,
        *,
        streams: dict[str, np.ndarray | Path] | None = None,
        labels: dict[str, Any] | None = None,
        meta: dict[str, str | float | int] | None = None,
        pooled: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Add one utterance.

        A stream is an array (T, ...) or the path of a raw file of such steps; one that is not
        named is missing (zero length). A class label is its name or None, a scalar a number, a
        distribution (C,), a trace (T,). Meta fields are texts or numbers; one that some
        utterances lack is empty text or NaN there.
        """
        if identifier in self._seen:
            raise DataError(f"the id {identifier} is there twice; ids are unique in a store")
        self._seen.add(identifier)
        given = streams or {}
        for name, spec in self.streams.items():
            self._add_stream(self._spools["streams", name], spec, given.get(name))
        for name, spec in self.labels.items():
            self._add_label(name, spec, (labels or {}).get(name))
        for name, spec in self.pooled.items():
            vector = np.asarray((pooled or {})[name], dtype="<f4").reshape(spec.dim)
            self._spools["pooled", name].append(vector, 1)
        # Fields that only some utterances bear are filled for those before and after.
        for name in (meta or {}).keys() - self._meta.keys():
            self._meta[name] = [None] * len(self.ids)
        for name, values in self._meta.items():
            values.append((meta or {}).get(name))
        self.ids.append(identifier)

    def _add_stream(self, spool: _Spool, spec: StreamSpec, given: np.ndarray | Path | None) -> None:
        if isinstance(given, Path):
            spool.append_file(given, spec.step_bytes)
            return
        values = np.empty((0, *spec.shape)) if given is None else given
        dtype = np.dtype(spec.dtype).newbyteorder("<")
        if tuple(values.shape[1:]) != spec.shape:
            raise ValueError(f"steps of shape {values.shape[1:]}, expected {spec.shape}")
        spool.append(values.astype(dtype, copy=False), len(values))

    def _add_label(self, name: str, spec: LabelSpec, given: Any) -> None:
        if spec.kind == "trace":
            values = np.asarray([] if given is None else given, dtype="<f4")
            self._spools["labels", name].append(values, len(values))
            return
        if spec.kind == "class":
            value: Any = -1 if given is None else spec.classes.index(given)
        elif spec.kind == "scalar":
            value = np.nan if given is None else float(given)
        else:
            size = len(spec.classes)
            value = np.full(size, np.nan) if given is None else np.asarray(given).reshape(size)
        self._label_values[name].append(value)

    def _label_array(self, name: str) -> np.ndarray:
        spec = self.labels[name]
        dtype = "<i4" if spec.kind == "class" else "<f4"
        shape = (len(self.ids), len(spec.classes)) if spec.kind == "distribution" else (-1,)
        return np.asarray(self._label_values[name], dtype=dtype).reshape(shape)

    def _meta_column(self, name: str) -> list[str] | np.ndarray:
        values = self._meta[name]
        if all(value is None or isinstance(value, str) for value in values):
            return ["" if value is None else value for value in values]
        if all(isinstance(value, (int, np.integer)) for value in values):
            return np.asarray(values, dtype="<i8")
        return np.asarray([np.nan if value is None else value for value in values], dtype="<f8")

    def finish(self, path: Path, provenance: Provenance) -> str:
        """Lay the store out at `path`; returns its content id."""
        meta = {name: self._meta_column(name) for name in sorted(self._meta)}
        label_values: dict[str, np.ndarray] = {}
        pooled_digests: dict[str, str] = {}
        with h5py.File(path, "w", locking=False) as file:
            file.create_dataset("id", data=_texts(self.ids))
            for name, column in meta.items():
                data = _texts(column) if isinstance(column, list) else column
                file.create_dataset(f"meta/{name}", data=data)
            for name, spec in self.labels.items():
                label_values[name] = self._finish_label(file, name, spec)
            for name, spec in self.streams.items():
                spool = self._spools["streams", name]
                _lay_ragged(file, f"streams/{name}", spool, spec.dtype, spec.shape)
                file[f"streams/{name}"].attrs.update(spec.attributes())
                file.create_dataset(f"digest/{name}", data=spool.digest_rows)
            for name, spec in self.pooled.items():
                spool = self._spools["pooled", name]
                dataset = _lay(
                    file, f"pooled/{name}", spool.file, "<f4", len(self.ids), (spec.dim,)
                )
                dataset.attrs.update(spec.attributes())
                pooled_digests[name] = schema.array_digest(_spooled(spool.file, spec.dim))
            content = schema.store_content_id(
                self.ids,
                meta,
                {
                    name: (spec, spool.offsets, spool.digest_rows)
                    for name, spec in self.streams.items()
                    for spool in [self._spools["streams", name]]
                },
                {name: (spec, label_values[name]) for name, spec in self.labels.items()},
                {name: (spec, pooled_digests[name]) for name, spec in self.pooled.items()},
            )
            file["provenance"] = canonical_json(provenance)
            file.attrs.update(
                format=schema.FORMAT,
                format_version=schema.VERSION,
                count=len(self.ids),
                content_id=content,
                complete=True,
            )
        return content

    def _finish_label(self, file: h5py.File, name: str, spec: LabelSpec) -> np.ndarray:
        if spec.kind == "trace":
            spool = self._spools["labels", name]
            _lay_ragged(file, f"labels/{name}", spool, "<f4", ())
            file.create_dataset(f"labels/{name}/digest", data=spool.digest_rows)
            values = spool.digest_rows
        else:
            values = self._label_array(name)
            file.create_dataset(f"labels/{name}", data=values)
        file[f"labels/{name}"].attrs.update(spec.attributes())
        return values

    def close(self) -> None:
        for spool in self._spools.values():
            spool.file.close()


@contextlib.contextmanager
def store_writer(
    output: Path,
    provenance: Provenance,
    *,
    streams: dict[str, StreamSpec] | None = None,
    labels: dict[str, LabelSpec] | None = None,
    pooled: dict[str, PooledSpec] | None = None,
) -> Iterator[StoreWriter]:
    """A writer whose store appears at `output`, whole, when the block ends without an exception."""
    with workspace(output) as folder:
        writer = StoreWriter(folder, streams or {}, labels or {}, pooled or {})
        try:
            yield writer
            temporary = folder / output.name
            writer.finish(temporary, provenance)
        finally:
            writer.close()
        publish(temporary, output)


def _texts(values: list[str]) -> np.ndarray:
    """Fixed-length UTF-8: contiguous, and read a hundred times faster than variable length."""
    encoded = [value.encode("utf-8") for value in values]
    width = max((len(value) for value in encoded), default=1) or 1
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", width))


def _lay_ragged(
    file: h5py.File, name: str, spool: _Spool, dtype: str, shape: tuple[int, ...]
) -> None:
    _lay(file, f"{name}/values", spool.file, dtype, sum(spool.lengths), shape)
    file.create_dataset(f"{name}/offsets", data=spool.offsets)


def _lay(
    file: h5py.File, name: str, spool: BinaryIO, dtype: str, steps: int, shape: tuple[int, ...]
) -> h5py.Dataset:
    """Copy a spool file into a contiguous dataset of (steps, *shape)."""
    little = np.dtype(dtype).newbyteorder("<")
    dataset = file.create_dataset(name, shape=(steps, *shape), dtype=little)
    step_bytes = little.itemsize * int(np.prod(shape, dtype=np.int64))
    rows = max(1, COPY_BYTES // max(step_bytes, 1))
    spool.flush()
    spool.seek(0)
    for start in range(0, steps, rows):
        stop = min(start + rows, steps)
        block = np.frombuffer(spool.read((stop - start) * step_bytes), dtype=little)
        dataset[start:stop] = block.reshape(stop - start, *shape)
    return dataset


def _spooled(spool: BinaryIO, dim: int) -> np.ndarray:
    """A spool of pooled vectors as an array (N, dim), mapped where it is not empty."""
    spool.flush()
    if spool.seek(0, 2) == 0:
        return np.zeros((0, dim), dtype="<f4")
    return np.memmap(spool, dtype="<f4", mode="r").reshape(-1, dim)
