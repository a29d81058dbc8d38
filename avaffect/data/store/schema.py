"""Schema of a store: the specifications of streams, labels and pooled vectors.

Each specification converts to HDF5 attributes and back; the specifications and the digests of the
values give the content id of a store. See avaffect-store(5).
"""

from __future__ import annotations

import hashlib
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avaffect.core import plain_json
from avaffect.core.hashing import canonical_json, content_id, text_digest

FORMAT = "avaffect-store"
VERSION = "1.1"

INT64 = 2**63
EMPTY_DIGEST = hashlib.sha256(b"").digest()


@dataclass(frozen=True)
class StreamSpec:
    """A stream of steps, ragged over utterances.

    kind      waveform | face | units | features | face_track | ...
    dtype     NumPy name of one element
    shape     shape of one step: () for a waveform, (D,) for features, (H, W, C) for faces
    rate_hz   steps per second
    encoding  raw | jpeg
    made      how it was made, JSON values (front-end, encoder, clusters)
    statistics  of all values, JSON values (see data.statistics): they follow from the values and
                are not part of the content id or of equality
    """

    kind: str
    dtype: str
    rate_hz: float
    shape: tuple[int, ...] = ()
    encoding: str = "raw"
    made: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def step_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def attributes(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rate_hz": float(self.rate_hz),
            "encoding": self.encoding,
            "made": canonical_json(self.made),
        }

    @classmethod
    def parse(cls, attributes: Any, dtype: np.dtype, shape: tuple[int, ...]) -> StreamSpec:
        return cls(
            kind=str(attributes["kind"]),
            dtype=dtype.name,
            rate_hz=float(attributes["rate_hz"]),
            shape=tuple(int(size) for size in shape),
            encoding=str(attributes.get("encoding", "raw")),
            made=plain_json.parse(attributes.get("made", "{}")),
            statistics=plain_json.parse(attributes.get("statistics", "{}")),
        )

    def describe(self) -> dict[str, Any]:
        """The part of the content id, also shown by `info`."""
        return {**self.attributes(), "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class LabelSpec:
    """kind: class (int32, -1 missing), scalar (float32, NaN missing), distribution ((N, C) float32:
    rater votes, a row of NaN missing) or trace (ragged float32 at rate_hz; zero length missing).
    `classes` names classes in order; raters > 0 gives a trace one column for each rater. A trace
    with classes is a class over time: its values are their numbers."""

    kind: str
    classes: tuple[str, ...] = ()
    rate_hz: float = 0.0
    raters: int = 0

    @property
    def step_shape(self) -> tuple[int, ...]:
        """Shape of one step of a trace."""
        return (self.raters,) if self.raters else ()

    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind}
        if self.kind in ("class", "distribution"):
            found["classes"] = canonical_json(list(self.classes))
        if self.kind == "trace":
            found["rate_hz"] = float(self.rate_hz)
            found["raters"] = self.raters
            if self.classes:
                found["classes"] = canonical_json(list(self.classes))
        return found

    @classmethod
    def parse(cls, attributes: Any) -> LabelSpec:
        return cls(
            kind=str(attributes["kind"]),
            classes=tuple(plain_json.parse(attributes.get("classes", "[]"))),
            rate_hz=float(attributes.get("rate_hz", 0.0)),
            raters=int(attributes.get("raters", 0)),
        )


@dataclass(frozen=True)
class PooledSpec:
    """One float32 vector of size `dim` an utterance; `made`: by which model."""

    dim: int
    made: dict[str, Any] = field(default_factory=dict)

    def attributes(self) -> dict[str, Any]:
        return {"made": canonical_json(self.made)}

    @classmethod
    def parse(cls, attributes: Any, dim: int) -> PooledSpec:
        return cls(dim=dim, made=plain_json.parse(attributes.get("made", "{}")))


@dataclass(frozen=True)
class Specs:
    """The specifications of a store, by name."""

    streams: dict[str, StreamSpec]
    labels: dict[str, LabelSpec]
    pooled: dict[str, PooledSpec]


def little_endian(values: np.ndarray) -> memoryview:
    """The little-endian bytes of an array in C order, also of an empty one, or one of texts."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data if little.size else memoryview(b"")


def array_digest(values: np.ndarray) -> str:
    """Hex SHA-256 of an array's dtype, shape and bytes (little-endian, C order)."""
    state = array_digest_start(values.dtype.newbyteorder("<").str, values.shape)
    state.update(little_endian(values))
    return state.hexdigest()


def array_digest_start(dtype: str, shape: tuple[int, ...]) -> hashlib._Hash:
    """The hash of `array_digest` before the bytes of the array.

    dtype: NumPy's notation with the byte order: "<f4".
    """
    return hashlib.sha256(f"{dtype}{shape}".encode())


def column(values: list[Any]) -> list[str] | np.ndarray:
    """A meta column with one value an utterance: strings, int64 or float64.

    If one value is a string, all become strings. A missing value (None) is "" among strings; among
    numbers it is NaN, and makes the column float64.
    """
    if any(isinstance(value, str) for value in values) or all(value is None for value in values):
        return [as_text(value) for value in values]
    if any(
        isinstance(value, numbers.Integral) and not -INT64 <= int(value) < INT64 for value in values
    ):
        return [as_text(value) for value in values]
    if all(isinstance(value, numbers.Integral) for value in values):
        return np.asarray(values, dtype="<i8")
    return np.asarray([np.nan if value is None else value for value in values], dtype="<f8")


def as_text(value: Any) -> str:
    """A meta value as a string; a whole number has no decimal point, None is ""."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def column_digest(values: list[str] | np.ndarray) -> str:
    """Digest of a column, strings or numbers."""
    return array_digest(values) if isinstance(values, np.ndarray) else text_digest(values)


def store_content_id(
    ids: list[str],
    meta: dict[str, list[str] | np.ndarray],
    streams: dict[str, tuple[StreamSpec, np.ndarray, np.ndarray]],
    labels: dict[str, tuple[LabelSpec, np.ndarray]],
    pooled: dict[str, tuple[PooledSpec, str]],
) -> str:
    """The content id of a store.

    streams: name -> (spec, offsets (N + 1,) int64, digests (N, 32) uint8); labels: name -> (spec,
    values; for a trace the digests of its utterances); pooled: name -> (spec, array digest).
    Merged shards have the concatenation of these, and so the id of the undivided store.
    """
    return content_id(
        {
            "format": f"{FORMAT}/{VERSION.split('.')[0]}",
            "count": len(ids),
            "id": text_digest(ids),
            "meta": {name: column_digest(values) for name, values in meta.items()},
            "streams": {
                name: [spec.describe(), array_digest(offsets), array_digest(digests)]
                for name, (spec, offsets, digests) in streams.items()
            },
            "labels": {
                name: [spec.attributes(), array_digest(values)]
                for name, (spec, values) in labels.items()
            },
            "pooled": {
                name: [spec.dim, spec.attributes(), values]
                for name, (spec, values) in pooled.items()
            },
        }
    )


def header_digest(version: str, content: str, count: int, provenance: str, specs: Specs) -> str:
    """The digest of a store's header: its content id, the specifications of its values, their
    statistics, and its provenance (the string in the file)."""
    return content_id(
        {
            "format": f"{FORMAT}/{version}",
            "content_id": content,
            "count": count,
            "provenance": provenance,
            "streams": {n: [s.describe(), s.statistics] for n, s in specs.streams.items()},
            "labels": {name: spec.attributes() for name, spec in specs.labels.items()},
            "pooled": {n: [spec.dim, spec.attributes()] for n, spec in specs.pooled.items()},
        }
    )
