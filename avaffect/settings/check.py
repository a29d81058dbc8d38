"""Settings of `check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Settings, argument, option


@dataclass(frozen=True, kw_only=True)
class CheckSettings(Settings):
    """Reads every byte and recomputes the content ids. Prints `FILE: ok` for each whole file;
    errors go to standard error, and the exit status is 65."""

    examples: ClassVar[str] = """
    avaffect check media.h5
    # All artifacts of a project, with the files that they refer to
    avaffect check --parents *.h5 *.safetensors *.jsonl > good.txt
    """

    files: tuple[Path, ...] = argument("Stores, checkpoints or manifests.", metavar="FILE")
    parents: bool = option(False, "Check that the inputs of the files exist too.", "--parents")
