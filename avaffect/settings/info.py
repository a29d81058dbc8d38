"""Settings of `info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Settings, argument, option


@dataclass(frozen=True, kw_only=True)
class InfoSettings(Settings):
    """Reads headers and structure, not the values: `check` verifies those."""

    examples: ClassVar[str] = """
    avaffect info --json media.h5 | jq .labels.emotion.classes
    # How a checkpoint was made
    avaffect info --lineage adapted.safetensors
    """

    files: tuple[Path, ...] = argument("Stores, checkpoints or manifests.", metavar="FILE")
    json: bool = option(False, "Print one JSON object per file.", "--json")
    lineage: bool = option(False, "Print the inputs of the inputs too.", "--lineage")
