"""Settings of `info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import argument, option


@dataclass(frozen=True, kw_only=True)
class InfoSettings:
    """Reads headers and structure, not the values: `check` verifies those."""

    files: tuple[Path, ...] = argument("Stores, checkpoints or manifests.", metavar="FILE")
    json: bool = option(False, "One JSON object per file.", "--json")
    lineage: bool = option(False, "Show the inputs of the inputs too.", "--lineage")
