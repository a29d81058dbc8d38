"""Headers of quantisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from avaffect.core.headers.checkpoint import CheckpointHeader
from avaffect.core.record import Record


@dataclass(frozen=True, kw_only=True)
class Clustered(Record):
    """What was clustered: frames of a named front-end, or of a layer (from 1; None: the last) of
    the encoder that is the parent of role `model`; rate_hz: frames a second."""

    front_end: str | None = None
    layer: int | None = None
    rate_hz: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """With a layer, null for the last one, where an encoder was clustered."""
        found = super().to_dict()
        return found if self.front_end is not None else {**found, "layer": self.layer}


@dataclass(frozen=True, kw_only=True)
class QuantiserHeader(CheckpointHeader):
    """preprocessing: what was clustered."""

    kind: ClassVar[str] = "quantiser"

    preprocessing: Clustered

    @property
    def clusters(self) -> int:
        """How many units it tells apart."""
        return int(self.model["configuration"]["clusters"])
