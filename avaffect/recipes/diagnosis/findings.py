"""What `doctor` found: lines of a report."""

from __future__ import annotations

from dataclasses import dataclass

# Broken; not there, which nothing needs; as it should be.
BROKEN, OPTIONAL, FINE = "broken", "optional", "ok"


@dataclass(frozen=True)
class Finding:
    """about: the subject (machine, packages, ...); name, found: what was looked at and seen; mend:
    what to type or to do, "" where nothing is to be done."""

    about: str
    name: str
    state: str
    found: str
    mend: str = ""
