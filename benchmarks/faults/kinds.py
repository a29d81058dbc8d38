"""The kinds of faults, and their tries: apart from the program, whose processes import them."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

from benchmarks.faults.table import Line

# One module of this package a kind of fault.
KINDS = (
    "damaged_files", "damaged_states", "killed", "signalled", "full_disks", "changed_inputs",
    "closed_descriptors", "two_writers", "little_memory",
)  # fmt: skip


def tries(kind: str, quick: bool) -> list[Line]:
    """The lines of a kind, tried in a folder that is removed."""
    module = importlib.import_module(f"benchmarks.faults.{kind}")
    with tempfile.TemporaryDirectory() as folder:
        return list(module.tries(Path(folder), quick))
