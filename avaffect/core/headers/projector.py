"""Headers of projectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from avaffect.core.headers.checkpoint import CheckpointHeader
from avaffect.core.record import Record, nullable
from avaffect.core.registry import Description


@dataclass(frozen=True, kw_only=True)
class Projected(Record):
    """What is projected: means over time of an encoder's layer (from 1; None: the last), from
    audio, video or av (None: all that it reads)."""

    layer: int | None = nullable()
    modality: str | None = nullable()


@dataclass(frozen=True, kw_only=True)
class Normalisation(Record):
    """statistics: source (of the training data), corpus (of each store itself) or none."""

    statistics: str


@dataclass(frozen=True, kw_only=True)
class ProjectorHeader(CheckpointHeader):
    """labels   label -> classes that it was trained on
    encoder  where the encoder was trained with it and is in the file; None where it is the parent
             of role `encoder`
    """

    kind: ClassVar[str] = "projector"

    labels: dict[str, tuple[str, ...]]
    preprocessing: Projected
    normalisation: Normalisation
    encoder: Description | None = None
