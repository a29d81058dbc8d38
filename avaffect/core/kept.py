"""Where the finished parts of a store lie until it is complete (data/store/journal.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avaffect.core.signals import StopFlag

# The file without which nothing in the folder counts.
JOURNAL = "journal"
SPOOL = ".spool"


@dataclass(frozen=True)
class Kept:
    """folder: of one store alone; flag: of the signals to stop; check: raises where the run has
    lost its lock."""

    folder: Path
    flag: StopFlag
    check: Callable[[], None] = lambda: None
