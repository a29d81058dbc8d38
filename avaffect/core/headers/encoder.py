"""Headers of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from avaffect.core.headers.checkpoint import CheckpointHeader
from avaffect.core.record import Record
from avaffect.core.structure import Structure


@dataclass(frozen=True, kw_only=True)
class Input(Record):
    """What an encoder reads, and how often it gives a frame.

    streams      names of the streams; none of a file of version 1.0 that does not say
    rate_hz      frames a second; 0 of an encoder of tokens
    sample_rate  of the waveform, Hz
    features     how features that are read in the place of recordings were made
    """

    streams: tuple[str, ...] | None = None
    rate_hz: float = 0.0
    sample_rate: int | None = None
    features: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction(Record):
    """A prediction head that was imported: its first `units` of `rows` rows stand for units."""

    units: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class Published(Record):
    """An imported encoder: its family (avhubert, hubert, whisper, ...), and whose names its
    weights had."""

    kind: str
    names: str


@dataclass(frozen=True, kw_only=True)
class KeptObjective(Record):
    """What trained an encoder and can train it further: its name and configuration, and the streams
    that it reads beside the encoder's (units)."""

    name: str
    configuration: dict[str, Any]
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EncoderHeader(CheckpointHeader):
    """preprocessing  what it reads
    objective      what trained it, with its weights beside the encoder's; None where nothing can
                   train it further
    pretext        of a file of version 0.1, which has no objective: settings of its task
    labels         label -> classes that it was adapted on
    structure      layers and parts; None of a file of an earlier version
    """

    kind: ClassVar[str] = "encoder"

    preprocessing: Input = Input()
    objective: KeptObjective | None = None
    pretext: dict[str, Any] | None = None
    labels: dict[str, tuple[str, ...]] | None = None
    prediction: Prediction | None = None
    published: Published | None = None
    structure: Structure | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that it reads."""
        return self.preprocessing.streams or ()

    @property
    def rate_hz(self) -> float:
        """Frames a second; 0 of an encoder of tokens."""
        return self.preprocessing.rate_hz
