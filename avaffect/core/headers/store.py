"""Headers of stores; see avaffect-store(5)."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.provenance import Provenance


@dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """What a store says of itself, without its streams; count: utterances."""

    version: str
    count: int
    content_id: str
    provenance: Provenance
