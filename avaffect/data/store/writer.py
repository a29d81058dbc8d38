"""Writing stores: utterances are collected in spool files beside the output, then written once.

HDF5 fixes the layout of a dataset when it is created, and only a contiguous dataset can be mapped
into memory. As the total length of a stream is known only at the end, each stream grows in a spool
file and is copied into the store after the last utterance.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from avaffect.core.atomic import publish, workspace
from avaffect.core.errors import AvaffectError, DataError
from avaffect.core.kept import SPOOL, Kept
from avaffect.core.nouns import count_of
from avaffect.core.provenance import Provenance
from avaffect.core.shown import is_plain
from avaffect.core.writing import writing
from avaffect.data.store import layout, schema
from avaffect.data.store.journal import Entry, Journal, clear_scratch
from avaffect.data.store.layout import Contents, Ragged
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec

COPY_BYTES = 1 << 21
# Name of the store while it is written.
STORE = "store.h5"


@dataclass
class _Spool:
    """A growing array on disk: a stream, a trace or pooled vectors.

    lengths, digests (SHA-256, one after the other): of its parts, as numbers and bytes without an
    object of each, since there may be millions.
    """

    file: BinaryIO
    dtype: str
    shape: tuple[int, ...]
    lengths: array[int] = field(default_factory=lambda: array("q"))
    digests: bytearray = field(default_factory=bytearray)

    @property
    def step_bytes(self) -> int:
        return _step_bytes(self.dtype, self.shape)

    def digest(self, part: int) -> bytes:
        size = hashlib.sha256().digest_size
        return bytes(self.digests[part * size : (part + 1) * size])

    def append(self, values: np.ndarray) -> None:
        if tuple(values.shape[1:]) != self.shape:
            raise ValueError(f"steps of shape {values.shape[1:]}, expected {self.shape}")
        little = np.ascontiguousarray(values, dtype=np.dtype(self.dtype).newbyteorder("<"))
        content = memoryview(little).cast("B") if little.size else b""
        self.file.write(content)
        self.lengths.append(len(values))
        self.digests += hashlib.sha256(content).digest()

    def append_file(self, source: Path) -> None:
        state = hashlib.sha256()
        copied = 0
        with source.open("rb") as stream:
            while block := stream.read(COPY_BYTES):
                state.update(block)
                self.file.write(block)
                copied += len(block)
        if copied % self.step_bytes:
            raise ValueError(
                f"{source} has {count_of(copied, 'byte')}, not a multiple of {self.step_bytes}"
            )
        self.lengths.append(copied // self.step_bytes)
        self.digests += state.digest()

    def blocks(self) -> Iterator[np.ndarray]:
        dtype = np.dtype(self.dtype).newbyteorder("<")
        rows = max(1, COPY_BYTES // max(self.step_bytes, 1))
        self.file.flush()
        self.file.seek(0)
        while content := self.file.read(rows * self.step_bytes):
            yield np.frombuffer(content, dtype=dtype).reshape(-1, *self.shape)

    def ragged(self) -> Ragged:
        lengths = np.asarray(self.lengths, dtype=np.int64)
        return Ragged(lengths, layout.digest_rows(self.digests), self.blocks)


class _Parsed(Sequence[Any]):
    """A list of JSON texts as their values."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: Any) -> Any:
        return json.loads(self._texts[place])


def _step_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


def _plain(value: Any) -> Any:
    """A label or a field as JSON has it."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


class StoreWriter:
    """Collects utterances for one store; use `store_writer`, which publishes it when complete.

    folder       for temporary files, beside the output; removed when the block ends
    provenance   may be extended, for example by counts of skipped items, until the block ends
    """

    def __init__(
        self,
        folder: Path,
        provenance: Provenance,
        streams: dict[str, StreamSpec],
        labels: dict[str, LabelSpec],
        pooled: dict[str, PooledSpec],
        kept: Kept | None = None,
    ) -> None:
        self.folder = folder
        self.provenance = provenance
        self.streams, self.labels, self.pooled = dict(streams), labels, pooled
        self.ids: list[str] = []
        self._seen: set[str] = set()
        self._meta: dict[str, list[Any]] = {}
        self._label_values: dict[str, list[Any]] = {
            name: [] for name, spec in labels.items() if spec.kind != "trace"
        }
        parts = [("streams", name, spec.dtype, spec.shape) for name, spec in streams.items()]
        parts += [
            ("labels", name, "float32", spec.step_shape)
            for name, spec in labels.items()
            if spec.kind == "trace"
        ]
        parts += [("pooled", name, "float32", (spec.dim,)) for name, spec in pooled.items()]
        # Names come from users, and so are not used as file names.
        self._journal: Journal | None = None
        files: list[BinaryIO]
        if kept is None:
            files = [(folder / f"{n}{SPOOL}").open("w+b") for n in range(len(parts))]
        else:
            sizes = [_step_bytes(dtype, shape) for _, _, dtype, shape in parts]
            self._journal = Journal(kept, parts, sizes)
            files = self._journal.files
        self._spools = {
            (group, name): _Spool(file, dtype, shape)
            for file, (group, name, dtype, shape) in zip(files, parts)
        }
        self._done = 0
        # As JSON, since there may be millions.
        self._resumed: list[str] = []
        for entry in self._journal.take_up() if self._journal else ():
            self._take_up(entry)

    @property
    def resumed(self) -> Sequence[Any]:
        """Facts of the items that an earlier process finished (`done`), whose utterances are here
        already."""
        return _Parsed(self._resumed)

    def _take_up(self, entry: Entry) -> None:
        """The utterances of an item that an earlier process finished."""
        for utterance in entry.utterances:
            for spool, (steps, digest) in zip(self._spools.values(), utterance["spooled"]):
                spool.lengths.append(steps)
                spool.digests += bytes.fromhex(digest)
            for name, value in utterance["labels"].items():
                self._label_values[name].append(value)
            self._add_fields(utterance["meta"])
            self._seen.add(utterance["id"])
            self.ids.append(utterance["id"])
        self._resumed.append(json.dumps(entry.facts))
        self._done = len(self.ids)

    def done(self, facts: Any = None) -> None:
        """An item of the source is finished: the utterances that were added since the last one are
        kept where the writer keeps any, with JSON-able facts. Items come in order."""
        if self._journal is not None:
            added = range(self._done, len(self.ids))
            self._journal.add(Entry([self._described(row) for row in added], facts))
        self._done = len(self.ids)

    def _described(self, row: int) -> dict[str, Any]:
        """An utterance, JSON-able."""
        return {
            "id": self.ids[row],
            "spooled": [[s.lengths[row], s.digest(row).hex()] for s in self._spools.values()],
            "labels": {name: _plain(values[row]) for name, values in self._label_values.items()},
            "meta": {name: _plain(values[row]) for name, values in self._meta.items()},
        }

    def keep(self) -> None:
        """Keep all finished items now, where the writer keeps any."""
        if self._journal is not None:
            self._journal.write()

    def add(
        self,
        identifier: str,
        *,
        streams: Mapping[str, np.ndarray | Path] | None = None,
        labels: dict[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
        pooled: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Add one utterance.

        A stream is an array (T, ...) or the path of a raw file of such steps; a stream that is not
        given is missing (zero length). A class label is the name of a class or None, a scalar a
        number, a distribution (C,), a trace (T,) or (T, raters). Meta fields are strings or
        numbers; for utterances that lack a field it is an empty string or NaN.
        """
        if not identifier:
            raise DataError("an utterance has no id; give every utterance an id")
        if not is_plain(identifier):
            raise DataError(
                f"the id {identifier!r} has a control character, which ids must not have; rename it"
            )
        if identifier in self._seen:
            raise DataError(f"the id {identifier} occurs twice; ids are unique in a store")
        self._seen.add(identifier)
        given = streams or {}
        for group, names, known in (
            ("stream", given, self.streams),
            ("label", labels or {}, self.labels),
            ("pooled vector", pooled or {}, self.pooled),
        ):
            if not names.keys() <= known.keys():
                raise ValueError(f"{group} {sorted(names.keys() - known.keys())} was not declared")
        for name, stream in self.streams.items():
            self._add_stream(self._spools["streams", name], stream, given.get(name))
        for name, label in self.labels.items():
            self._add_label(identifier, name, label, (labels or {}).get(name))
        for name, vectors in self.pooled.items():
            vector = np.asarray((pooled or {})[name], dtype="<f4").reshape(1, vectors.dim)
            self._spools["pooled", name].append(vector)
        self._add_fields(meta or {})
        self.ids.append(identifier)

    def _add_fields(self, meta: Mapping[str, Any]) -> None:
        # Fields that only some utterances have are filled for those before and after.
        for name in meta.keys() - self._meta.keys():
            self._meta[name] = [None] * len(self.ids)
        for name, values in self._meta.items():
            values.append(meta.get(name))

    def _add_stream(self, spool: _Spool, spec: StreamSpec, given: np.ndarray | Path | None) -> None:
        if isinstance(given, Path):
            spool.append_file(given)
        else:
            spool.append(np.empty((0, *spec.shape)) if given is None else given)

    def _add_label(self, identifier: str, name: str, spec: LabelSpec, given: Any) -> None:
        if spec.kind == "trace":
            missing = np.empty((0, *spec.step_shape))
            self._spools["labels", name].append(missing if given is None else np.asarray(given))
            return
        if spec.kind == "class":
            if given is not None and given not in spec.classes:
                raise DataError(
                    f"{identifier}: label {name} is {given!r}, which is not one of its classes "
                    f"({', '.join(spec.classes)})"
                )
            value: Any = -1 if given is None else spec.classes.index(given)
        elif spec.kind == "scalar":
            value = np.nan if given is None else float(given)
        else:
            size = len(spec.classes)
            value = np.full(size, np.nan) if given is None else np.asarray(given).reshape(size)
        self._label_values[name].append(value)

    def _label(self, name: str, spec: LabelSpec) -> np.ndarray | Ragged:
        if spec.kind == "trace":
            return self._spools["labels", name].ragged()
        dtype = "<i4" if spec.kind == "class" else "<f4"
        shape = (len(self.ids), len(spec.classes)) if spec.kind == "distribution" else (-1,)
        return np.asarray(self._label_values[name], dtype=dtype).reshape(shape)

    def set_statistics(self, stream: str, statistics: dict[str, Any]) -> None:
        """Set the statistics of all values of a stream; see `StreamSpec`."""
        self.streams[stream] = replace(self.streams[stream], statistics=statistics)

    def set_rate(self, stream: str, rate_hz: float) -> None:
        """The rate of a stream, where it is known at the end alone."""
        self.streams[stream] = replace(self.streams[stream], rate_hz=rate_hz)

    def column(self, name: str) -> list[Any]:
        """A meta field of the utterances so far, None for a missing value."""
        return self._meta.get(name, [])

    def missing(self, label: str) -> int:
        """Number of utterances so far without a label."""
        spec = self.labels[label]
        if spec.kind == "trace":
            return self._spools["labels", label].lengths.count(0)
        values = self._label_values[label]
        if spec.kind == "class":
            return values.count(-1)
        return sum(bool(np.isnan(value).all()) for value in values)

    def contents(self) -> Contents:
        """The contents that were added, ready to be written."""
        return Contents(
            self.ids,
            {name: schema.column(values) for name, values in self._meta.items()},
            {n: (spec, self._spools["streams", n].ragged()) for n, spec in self.streams.items()},
            {n: (spec, self._label(n, spec)) for n, spec in self.labels.items()},
            {n: (spec, self._spools["pooled", n].blocks) for n, spec in self.pooled.items()},
        )

    def close(self) -> None:
        for spool in self._spools.values():
            # On a full disk this fails too; the spool was flushed before it was read.
            with contextlib.suppress(OSError):
                spool.file.close()


@contextlib.contextmanager
def store_writer(
    output: Path,
    provenance: Provenance,
    *,
    streams: dict[str, StreamSpec] | None = None,
    labels: dict[str, LabelSpec] | None = None,
    pooled: dict[str, PooledSpec] | None = None,
    kept: Kept | None = None,
) -> Iterator[StoreWriter]:
    """A writer whose complete store appears at `output` if the block ends without an exception.

    kept: where finished items stay if it ends with one; they go with `kept`'s folder, which is the
    caller's. By default nothing stays.
    """
    with workspace(output) if kept is None else _kept_folder(output, kept) as folder:
        writer = StoreWriter(folder, provenance, streams or {}, labels or {}, pooled or {}, kept)
        try:
            yield writer
            temporary = folder / STORE
            layout.lay_out(temporary, writer.contents(), writer.provenance)
        except BaseException:
            # What cannot be written is computed again.
            with contextlib.suppress(OSError, AvaffectError):
                writer.keep()
            raise
        finally:
            writer.close()
        if kept is not None:
            kept.check()
        publish(temporary, output)


@contextlib.contextmanager
def _kept_folder(output: Path, kept: Kept) -> Iterator[Path]:
    try:
        with writing(output):
            yield kept.folder
    finally:
        with contextlib.suppress(OSError):
            clear_scratch(kept.folder)
