"""Small inputs that once gave a wrong result, each with the right value beside it.

A case measures one thing through the command line or the function that users reach, and says in a
few words what it saw. `tests/test_cases.py` runs all of them; `make cases` prints them as a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ROOT.parent / "shared"


class Seen(NamedTuple):
    """What a case gave, in a few words, and whether that is right."""

    words: str
    right: bool


@dataclass(frozen=True)
class Case:
    """situation: the kind of fault, as its folder in shared/cases is called; name: the input;
    right: the value that it has to give; measure: gets an empty folder and says what was seen;
    needs: a path below shared/ without which the case is skipped, None where it makes its input."""

    situation: str
    name: str
    right: str
    measure: Callable[[Path], Seen]
    needs: str | None = None

    @property
    def missing(self) -> Path | None:
        """The input that is not there, or None."""
        path = SHARED / self.needs if self.needs else None
        return path if path is not None and not path.exists() else None


def all_cases() -> list[Case]:
    from cases import film, sound, tables

    return [*sound.CASES, *film.CASES, *tables.CASES]
