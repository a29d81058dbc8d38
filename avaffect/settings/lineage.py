"""Settings of `lineage`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Settings, argument, option


@dataclass(frozen=True, kw_only=True)
class LineageSettings(Settings):
    """Lists what artifacts and reports were made from, back to the recordings: a line for each
    file, inputs before what was made of them, with its kind, the command that made it, and its
    inputs. Inputs are found by content id beside the files that name them and along
    AVAFFECT_PATH."""

    examples: ClassVar[str] = """
    avaffect lineage adapted.safetensors
    # Make a model again from the recordings
    avaffect lineage er.safetensors --make > er.mk
    make -n -f er.mk
    """

    files: tuple[Path, ...] = argument("Stores, checkpoints, manifests or reports.", metavar="FILE")
    make: bool = option(
        False, "Print a Makefile with a rule for each file, to be run in the current folder.",
        "--make",
    )  # fmt: skip
