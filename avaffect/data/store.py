"""Reading stores; see avaffect-store(5) for the layout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.provenance import Provenance
from avaffect.data import schema
from avaffect.data.mapping import map_dataset
from avaffect.data.schema import LabelSpec, PooledSpec, StreamSpec


class Store:
    """A finished store, read-only. Opening reads the structure; values are mapped when asked for.

    It can be pickled: only the path travels, and each process maps the file for itself.

    path, count, content_id, provenance; ids: list of N texts; streams, labels, pooled: name ->
    specification; meta: name -> list of texts or array of numbers.

    Raises DataError when the file is missing, cut short, incomplete, no store, or of another major
    version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with _open(self.path) as file:
            _check_header(self.path, file)
            try:
                self._read_structure(file)
            except (KeyError, ValueError, OSError) as error:
                raise DataError(f"{self.path} is damaged: {error}; make it again") from error
        self._mapped: dict[str, Any] = {}

    def _read_structure(self, file: h5py.File) -> None:
        self.count = int(file.attrs["count"])
        self.content_id = str(file.attrs["content_id"])
        self.provenance: Provenance = json.loads(file["provenance"][()])
        self.ids: list[str] = _column(file["id"])
        self.meta = {name: _column(file["meta"][name]) for name in file.get("meta", ())}
        self.streams: dict[str, StreamSpec] = {}
        self._offsets: dict[str, np.ndarray] = {}
        for name in file.get("streams", ()):
            group = file["streams"][name]
            values = group["values"]
            self.streams[name] = StreamSpec.parse(group.attrs, values.dtype, values.shape[1:])
            self._offsets[name] = _checked_offsets(group, self.count)
        self.labels = {
            name: LabelSpec.parse(file["labels"][name].attrs) for name in file.get("labels", ())
        }
        self.pooled = {
            name: PooledSpec.parse(file["pooled"][name].attrs, int(file["pooled"][name].shape[1]))
            for name in file.get("pooled", ())
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {self.count} utterances)"

    @cached_property
    def rows(self) -> dict[str, int]:
        """id -> row."""
        return {identifier: row for row, identifier in enumerate(self.ids)}

    def offsets(self, stream: str) -> np.ndarray:
        """(N + 1,) int64: utterance i is values[offsets[i]:offsets[i + 1]]."""
        return self._offsets[self._known(stream, self.streams, "stream")]

    def lengths(self, stream: str) -> np.ndarray:
        """(N,) int64 steps of each utterance; 0 where the modality is missing."""
        return np.diff(self.offsets(stream))

    def values(self, stream: str) -> np.ndarray:
        """All steps of a stream, (sum T, ...), mapped and read-only."""
        return self._array(f"streams/{self._known(stream, self.streams, 'stream')}/values")

    def read(self, stream: str, row: int) -> np.ndarray:
        """One utterance of a stream, (T, ...): a read-only view of the mapped file."""
        values = self._mapped.get(stream)
        if values is None:
            values = self._mapped[stream] = self.values(stream)
        offsets = self._offsets[stream]
        return values[offsets[row] : offsets[row + 1]]

    def pooled_vectors(self, name: str) -> np.ndarray:
        """(N, D) float32, mapped and read-only."""
        return self._array(f"pooled/{self._known(name, self.pooled, 'pooled vector')}")

    def label(self, name: str) -> np.ndarray:
        """(N,) int32 classes, (N,) float32 scalars or (N, C) float32 votes."""
        self._known(name, self.labels, "label")
        with _open(self.path) as file:
            return file["labels"][name][()]

    def trace(self, name: str, row: int) -> np.ndarray:
        """One utterance of a trace label, (T,) or (T, raters)."""
        self._known(name, self.labels, "label")
        offsets = self._array(f"labels/{name}/offsets")
        return self._array(f"labels/{name}/values")[offsets[row] : offsets[row + 1]]

    def digests(self, stream: str) -> np.ndarray:
        """(N, 32) uint8 SHA-256 of each utterance as it was written."""
        return self._array(f"digest/{self._known(stream, self.streams, 'stream')}")

    def _known(self, name: str, found: Iterable[str], what: str) -> str:
        if name not in found:
            have = ", ".join(found) or "none"
            raise DataError(f"{self.path} has no {what} {name!r} (it has: {have})")
        return name

    def _array(self, name: str) -> np.ndarray:
        if name not in self._mapped:
            with _open(self.path) as file:
                dataset = file[name]
                mapped = map_dataset(self.path, dataset)
                self._mapped[name] = dataset[()] if mapped is None else mapped
        return self._mapped[name]


def read_header(path: Path) -> dict[str, Any]:
    """Count, content id and provenance of a store, without its structure."""
    with _open(path) as file:
        _check_header(path, file)
        return {
            "version": str(file.attrs["format_version"]),
            "count": int(file.attrs["count"]),
            "content_id": str(file.attrs["content_id"]),
            "provenance": json.loads(file["provenance"][()]),
        }


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise DataError(f"{path}: no such store")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        reason = "cut short" if "truncated" in str(error) else "not an HDF5 store or cut short"
        raise DataError(f"{path} is {reason}; make it again") from error


def _check_header(path: Path, file: h5py.File) -> None:
    if file.attrs.get("format") != schema.FORMAT:
        raise DataError(f"{path} is an HDF5 file, but not an {schema.FORMAT}")
    version = str(file.attrs.get("format_version"))
    if version.split(".")[0] != schema.VERSION.split(".")[0]:
        raise DataError(
            f"{path} is a store of version {version}; this program reads version "
            f"{schema.VERSION.split('.')[0]}.x"
        )
    if not file.attrs.get("complete", False):
        raise DataError(f"{path} was never finished; make it again")


def _checked_offsets(group: h5py.Group, count: int) -> np.ndarray:
    offsets = group["offsets"][()]
    whole = (
        offsets.shape == (count + 1,)
        and offsets[0] == 0
        and offsets[-1] == len(group["values"])
        and bool(np.all(np.diff(offsets) >= 0))
    )
    if not whole:
        raise ValueError(f"the offsets of {group.name} do not fit its values")
    return offsets


def _column(dataset: h5py.Dataset) -> Any:
    """Texts as a list, numbers as an array."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return [value.decode("utf-8") for value in dataset[()].tolist()]
    return dataset[()]
