"""Descriptions of artifacts for `info`; `to_dict` gives the JSON of --json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avaffect.core.headers import CheckpointHeader
from avaffect.core.headers.manifest import DescribedLabel
from avaffect.core.record import Record

# Fields of a checkpoint's header that are described, in this order.
SHOWN = ("model", "layers", "mode", "labels", "preprocessing", "recordings", "bundle",
         "normalisation", "pretext", "objective", "prediction", "published", "metrics", "runs",
         "labelled_speakers")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Losses(Record):
    """Utterances that were found and kept, and the number lost for each reason."""

    found: int
    kept: int
    lost: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class InputDescription(Record):
    """An input by its role; path: "" of a stream. With the lineage: the command that made it and
    its own inputs, or why it was not found. provenance: of a stream."""

    role: str
    path: str
    content_id: str
    provenance: dict[str, Any] | None = None
    made_by: str | None = None
    inputs: tuple[InputDescription, ...] | None = None
    missing: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Named(Record):
    path: str
    kind: str
    version: str
    content_id: str


@dataclass(frozen=True, kw_only=True)
class _Made(Record):
    made_by: str | None
    settings: dict[str, Any]
    losses: Losses | None
    inputs: tuple[InputDescription, ...]


@dataclass(frozen=True, kw_only=True)
class StreamSummary(Record):
    """present: utterances that have it; hours: of all, None without a rate; made: as JSON."""

    kind: str
    rate_hz: float
    encoding: str
    made: str
    dtype: str
    shape: tuple[int, ...]
    present: int
    hours: float | None


@dataclass(frozen=True, kw_only=True)
class LabelSummary(Record):
    """A label of votes; a base for other kinds."""

    kind: str


@dataclass(frozen=True, kw_only=True)
class ClassSummary(LabelSummary):
    """classes: utterances of each; missing: utterances with none."""

    classes: dict[str, int]
    missing: int


@dataclass(frozen=True, kw_only=True)
class ScalarSummary(LabelSummary):
    """range: least and largest value; None without any."""

    range: tuple[float, ...] | None
    missing: int


@dataclass(frozen=True, kw_only=True)
class TraceSummary(LabelSummary):
    """rate_hz: values a second; raters: 0 for one trace; range: as of scalars."""

    rate_hz: float
    raters: int
    range: tuple[float, ...] | None
    hours: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class _Stored(Record):
    count: int
    streams: dict[str, StreamSummary]
    pooled: dict[str, int]
    labels: dict[str, LabelSummary]
    meta: dict[str, dict[str, int] | str | tuple[float, ...] | None]


@dataclass(frozen=True, kw_only=True)
class StoreDescription(_Made, _Stored, _Named):
    """count   utterances
    pooled  name -> width
    meta    name -> counts of its values, their number, or least and largest
    """


@dataclass(frozen=True, kw_only=True)
class _Listed(Record):
    content: str
    count: int
    splits: dict[str, int]
    labels: dict[str, DescribedLabel] | None


@dataclass(frozen=True, kw_only=True)
class ManifestDescription(_Made, _Listed, _Named):
    """content: corpus, retrieval or predictions; count: items; splits: items of each."""


@dataclass(frozen=True, kw_only=True)
class _Held(Record):
    header: CheckpointHeader


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription(_Made, _Held, _Named):
    """header: of the class of its kind."""

    def to_dict(self) -> dict[str, Any]:
        """Keys of the header are keys of the same object; its kind has the key `holds`."""
        header = self.header.to_dict()
        shown = {"holds": self.header.kind}
        shown |= {key: header[key] for key in SHOWN if header.get(key) is not None}
        found: dict[str, Any] = {}
        for key, value in super().to_dict().items():
            found |= shown if key == "header" else {key: value}
        return found


Description = StoreDescription | ManifestDescription | CheckpointDescription
