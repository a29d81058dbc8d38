"""Reading stores; see avaffect-store(5) for the layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avaffect.core import plain_json, unchanged
from avaffect.core.errors import DataError
from avaffect.core.headers.store import StoreHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.provenance import Provenance
from avaffect.core.shown import is_plain
from avaffect.data.store.columns import Columns, is_doubtful
from avaffect.data.store.integrity import (
    ColumnHash,
    Rows,
    StreamBlocks,
    block_lengths,
    block_steps,
    is_long,
)
from avaffect.data.store.mapping import Pages, view_dataset
from avaffect.data.store.opening import DAMAGE, damaged, open_hdf5
from avaffect.data.store.schema import Specs
from avaffect.data.store.structure import check_shape, checked_offsets, native, read_head
from avaffect.data.store.utterance import Utterance

BLOCK_BYTES = 1 << 24


class Store:
    """A finished store, read-only. Opening reads the structure; values are mapped, ids and meta
    read on use, and compared with their digests then (see `integrity`).

    It can be pickled: the pickle has only the path, and each process maps the file itself.

    path, version, count, content_id, provenance; ids: list of N strings; streams, labels, pooled:
    name -> specification; meta: name -> list of strings or array of numbers.

    Raises DataError if the file is missing, truncated, incomplete, no store, of another major
    version, or if its header was changed (see `schema.header_digest`).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with open_hdf5(self.path) as (file, _):
            head, specs = read_head(self.path, file)
            try:
                self._read_structure(file, head, specs)
            except DAMAGE as error:
                raise damaged(self.path, error) from error
        unchanged.check(self.path)
        self._pages: Pages | None = None
        self._arrays: dict[str, np.ndarray] = {}
        self._traces: dict[str, Rows] = {}
        self._streams: dict[str, tuple[np.ndarray, memoryview, Rows, StreamBlocks | None]] = {}

    def _read_structure(self, file: h5py.File, head: StoreHeader, specs: Specs) -> None:
        self.version, self.count, self.content_id = head.version, head.count, head.content_id
        self.provenance: Provenance = head.provenance
        self.streams, self.labels, self.pooled = specs.streams, specs.labels, specs.pooled
        # Stores of earlier versions and of other programs may have none.
        text = file.attrs.get("column_digests")
        self._digests = None if text is None else dict(plain_json.parse(text))
        check_shape(file["id"], (self.count,))
        for name in file.get("meta", ()):
            check_shape(file["meta"][name], (self.count,))
        self.meta = Columns(tuple(file.get("meta", ())), lambda name: self._column(f"meta/{name}"))
        self._offsets: dict[str, np.ndarray] = {}
        for name in self.streams:
            self._offsets[name] = self._read_offsets(file["streams"][name])
            check_shape(file["digest"][name], (self.count, 32))
        # None but of streams with a long utterance, and not in stores of earlier versions.
        self._with_blocks = tuple(file.get("block_digest", ()))
        self._trace_offsets: dict[str, np.ndarray] = {}
        for name, spec in self.labels.items():
            item = file["labels"][name]
            if spec.kind == "trace":
                self._trace_offsets[name] = self._read_offsets(item)
                check_shape(item["values"], (len(item["values"]), *spec.step_shape))
                check_shape(item["digest"], (self.count, 32))
            elif spec.kind == "distribution":
                check_shape(item, (self.count, len(spec.classes)))
            else:
                check_shape(item, (self.count,))
        for name, vectors in self.pooled.items():
            check_shape(file["pooled"][name], (self.count, vectors.dim))

    def _read_offsets(self, group: h5py.Group) -> np.ndarray:
        found = native(group["offsets"][()])
        self._compare(f"{group.name[1:]}/offsets", found)
        return checked_offsets(group, found, self.count)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "content_id": self.content_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        self._check_unchanged(state["content_id"])

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Utterance]:
        """The utterances in their order."""
        return (Utterance(self, row) for row in range(self.count))

    def __getitem__(self, identifier: str) -> Utterance:
        """The utterance with this id. Raises KeyError if there is none."""
        return Utterance(self, self.rows[identifier])

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {count_of(self.count, 'utterance')})"

    @cached_property
    def ids(self) -> list[str]:
        """The ids, in order."""
        ids: list[str] = self._column("id")
        return ids

    @cached_property
    def rows(self) -> dict[str, int]:
        """id -> row."""
        return {identifier: row for row, identifier in enumerate(self.ids)}

    def offsets(self, stream: str) -> np.ndarray:
        """(N + 1,) int64: utterance i is values[offsets[i]:offsets[i + 1]]."""
        return self._offsets[self._known(stream, self.streams, "stream")]

    def lengths(self, stream: str) -> np.ndarray:
        """(N,) int64 steps of each utterance; 0 if the modality is missing."""
        return np.diff(self.offsets(stream))

    def values(self, stream: str) -> np.ndarray:
        """All steps of a stream, (sum T, ...), mapped and read-only; `verify_values` compares them
        with their digests."""
        return self._array(f"streams/{self._known(stream, self.streams, 'stream')}/values")

    def read(self, stream: str, row: int, part: slice | None = None) -> np.ndarray:
        """The steps `part` of one utterance of a stream, or all, (T, ...): a read-only view of the
        mapped file. Raises DataError at their first reading if they were changed."""
        try:
            values, offsets, rows, blocks = self._streams[stream]
        except KeyError:
            # Whose items are plain integers, in half the time of NumPy's.
            values, offsets = self.values(stream), memoryview(self.offsets(stream))
            rows = self._rows(f"stream {stream}", self.digests(stream))
            blocks = self._blocks_of(stream)
            self._streams[stream] = values, offsets, rows, blocks
        found = values[offsets[row] : offsets[row + 1]]
        if part is None:
            if not rows.verified[row]:
                rows.verify(row, found)
            return found
        if rows.verified[row]:
            return found[part]
        start, stop, _ = part.indices(len(found))
        if blocks is None or not is_long(found.nbytes) or stop - start == len(found):
            rows.verify(row, found)
        else:
            begin = offsets[row]
            blocks.verify(values, begin + start, begin + stop, self.ids[row])
        return found[part]

    def _blocks_of(self, stream: str) -> StreamBlocks | None:
        if stream not in self._with_blocks:
            return None
        each = block_steps(self.streams[stream].step_bytes)
        digests = self._copied(f"block_digest/{stream}")
        count = len(block_lengths(int(self.offsets(stream)[-1]), each))
        if digests.shape != (count, 32) or digests.dtype != np.uint8:
            raise DataError(
                f"{self.path} is damaged: block_digest/{stream} has shape {digests.shape}, not "
                f"{(count, 32)}; make it again"
            )
        return StreamBlocks(self.path, f"stream {stream}", digests, each)

    def verify_blocks(self, stream: str) -> None:
        """Read the digests of a stream's blocks, if it has any. Raises DataError if they were
        changed."""
        self._blocks_of(stream)

    def verify_values(self, stream: str) -> None:
        """Read all of a stream. Raises DataError if an utterance was changed."""
        for _ in self.blocks(stream):
            pass

    def blocks(self, stream: str, verify: bool = True) -> Iterator[np.ndarray]:
        """All steps of a stream in order, some megabytes at a time, copied.

        For one pass over a store of any size: unlike with `values`, no mapped page stays in memory.
        verify: compare each utterance with its digest.
        """
        found = self._blocks(f"streams/{self._known(stream, self.streams, 'stream')}/values")
        if not verify:
            return found
        rows = self._rows(f"stream {stream}", self.digests(stream))
        return rows.verified_blocks(self.lengths(stream), found)

    def pooled_vectors(self, name: str) -> np.ndarray:
        """(N, D) float32, mapped and read-only."""
        return self._array(f"pooled/{self._known(name, self.pooled, 'pooled vector')}")

    def pooled_blocks(self, name: str) -> Iterator[np.ndarray]:
        """`pooled_vectors` some megabytes at a time, copied."""
        return self._blocks(f"pooled/{self._known(name, self.pooled, 'pooled vector')}")

    def id_blocks(self) -> Iterator[np.ndarray]:
        """The ids some megabytes at a time, as bytes: for one pass over a store of any size."""
        return self._blocks("id")

    def ids_at(self, rows: np.ndarray) -> list[str]:
        """The ids of `rows` (n,), which ascend, without all others in memory."""
        return self._text("id", self._picked("id", rows))

    def meta_at(self, name: str, rows: np.ndarray) -> list[str] | np.ndarray:
        """A field of `rows` (n,), which ascend, without all others in memory."""
        place = f"meta/{self._known(name, self.meta, 'field')}"
        values = self._picked(place, rows)
        return values if values.dtype.kind in "iufb" else self._text(place, values)

    def label(self, name: str) -> np.ndarray:
        """(N,) int32 classes, (N,) float32 scalars or (N, C) float32 votes."""
        values = self._copied(f"labels/{self._known(name, self.labels, 'label')}")
        spec = self.labels[name]
        if spec.kind == "class" and np.any((values < -1) | (values >= len(spec.classes))):
            raise DataError(f"{self.path} is damaged: label {name!r} has values beyond its classes")
        return values

    def trace(self, name: str, row: int) -> np.ndarray:
        """One utterance of a trace label, (T,) or (T, raters)."""
        offsets = self.trace_offsets(name)
        if name not in self._traces:
            self._traces[name] = self._rows(f"trace {name}", self.trace_digests(name))
        found = self._array(f"labels/{name}/values")[offsets[row] : offsets[row + 1]]
        if not self._traces[name].verified[row]:
            self._traces[name].verify(row, found)
        return found

    def trace_offsets(self, name: str) -> np.ndarray:
        """(N + 1,) int64, as `offsets` of a stream."""
        return self._trace_offsets[self._known(name, self._trace_offsets, "trace label")]

    def trace_blocks(self, name: str, verify: bool = True) -> Iterator[np.ndarray]:
        """All steps of a trace in order, as `blocks` of a stream."""
        found = self._blocks(f"labels/{self._known(name, self.labels, 'label')}/values")
        if not verify:
            return found
        rows = self._rows(f"trace {name}", self.trace_digests(name))
        return rows.verified_blocks(np.diff(self.trace_offsets(name)), found)

    def trace_digests(self, name: str) -> np.ndarray:
        """(N, 32) uint8, as `digests` of a stream."""
        return self._copied(f"labels/{self._known(name, self.labels, 'label')}/digest")

    def digests(self, stream: str) -> np.ndarray:
        """(N, 32) uint8 SHA-256 of each utterance as it was written."""
        return self._copied(f"digest/{self._known(stream, self.streams, 'stream')}")

    def _known(self, name: str, found: Iterable[str], what: str) -> str:
        if name not in found:
            have = ", ".join(found) or "none"
            raise DataError(
                f"{self.path} has no {what} {name!r} (it has: {have}){meant(name, found)}"
            )
        return name

    def _array(self, name: str) -> np.ndarray:
        """A dataset as an array, mapped on first use; copied if it cannot be mapped."""
        if name not in self._arrays:
            with open_hdf5(self.path) as (file, descriptor):
                self._check_unchanged(str(file.attrs.get("content_id")))
                self._pages = Pages.of(descriptor, self._pages)
                mapped = view_dataset(self.path, self._pages, file[name])
                found = native(file[name][()]) if mapped is None else mapped
                self._compare(name, found)
                self._arrays[name] = found
        return self._arrays[name]

    def _rows(self, what: str, digests: np.ndarray) -> Rows:
        return Rows(self.path, what, digests, lambda row: self.ids[row], self._release)

    def _release(self, values: np.ndarray) -> None:
        """Mapped values leave this process's memory, until they are read again."""
        if self._pages is not None:
            self._pages.release(values)

    def _hash_of(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> ColumnHash | None:
        """The hash of a dataset that has a digest; None for values of utterances, which have their
        own, and where the store has none, or texts of any length."""
        if self._digests is None or dtype.kind == "O" or name.endswith("/values"):
            return None
        return ColumnHash(self.path, name, self._digests.get(name), dtype, shape)

    def _compare(self, name: str, values: np.ndarray) -> None:
        """Raises DataError if a whole dataset is not as it was written."""
        column = self._hash_of(name, values.dtype, values.shape)
        if column is not None:
            column.update(values)
            column.check()

    def _copied(self, name: str) -> np.ndarray:
        with open_hdf5(self.path) as (file, _):
            self._check_unchanged(str(file.attrs.get("content_id")))
            try:
                found = native(file[name][()])
            except DAMAGE as error:
                raise damaged(self.path, error) from error
        self._compare(name, found)
        return found

    def _column(self, name: str) -> Any:
        """Strings as a list, numbers as an array."""
        values = self._copied(name)
        return values if values.dtype.kind in "iufb" else self._text(name, values)

    def _text(self, name: str, values: np.ndarray) -> list[str]:
        try:
            # Many utterances are of one speaker, split and recording: one string for equal ones.
            known: dict[str, str] = {}
            texts = (value.decode("utf-8") for value in values.tolist())
            found = [known.setdefault(text, text) for text in texts]
            if name == "id" and is_doubtful(values):
                wrong = next((text for text in found if not is_plain(text)), None)
                if wrong is not None:
                    raise ValueError(f"the id {wrong!r} has a control character")
            return found
        except DAMAGE as error:
            raise damaged(self.path, error) from error

    def _picked(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Rows (n,), which ascend, of a dataset of one axis."""
        found, start = [], 0
        for block in self._blocks(name):
            first, last = np.searchsorted(rows, [start, start + len(block)])
            found.append(block[rows[first:last] - start])
            start += len(block)
        return np.concatenate(found) if found else self._copied(name)

    def _blocks(self, name: str) -> Iterator[np.ndarray]:
        with open_hdf5(self.path) as (file, _):
            self._check_unchanged(str(file.attrs.get("content_id")))
            dataset = file[name]
            step_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
            rows = max(1, BLOCK_BYTES // max(step_bytes, 1))
            column = self._hash_of(name, dataset.dtype, dataset.shape)
            for start in range(0, len(dataset), rows):
                try:
                    block = native(dataset[start : start + rows])
                except DAMAGE as error:
                    raise damaged(self.path, error) from error
                if column is not None:
                    column.update(block)
                yield block
            if column is not None:
                column.check()

    def _check_unchanged(self, found: str) -> None:
        """Raises DataError if the file was replaced: its values would not fit the known offsets."""
        if found != self.content_id:
            raise unchanged.replaced(self.path)
