"""Settings of `check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import argument, option


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """Reads every byte and recomputes the content ids. Prints `FILE: ok` for each whole file; what
    is wrong with the others goes to standard error, and the exit status is 65."""

    files: tuple[Path, ...] = argument("Stores, checkpoints or manifests.", metavar="FILE")
    parents: bool = option(False, "Look for the inputs that the files refer to, too.", "--parents")
