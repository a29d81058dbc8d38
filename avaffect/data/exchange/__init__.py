"""Formats of other programs, one file each: `manifest NAME` reads them, `export --to NAME` writes
them.

Text formats are read and written here; their own libraries read and write the same in the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from avaffect.core.registry import Registry
from avaffect.data.exchange.listing import Listing
from avaffect.settings.export import LISTS


class Format(Protocol):
    """FOLDER: whether the output is a folder rather than a file. TAKEN: pattern of the names that
    no label or field may have, as the format has a use of its own for them or cannot spell them.
    NEEDS: packages that writing needs."""

    FOLDER: bool
    TAKEN: str
    NEEDS: tuple[str, ...]

    def write(self, listing: Listing, output: Path) -> None:
        """Write the listing into the empty folder, or the file, `output`.

        What the format cannot hold is added to `listing.lost`. Raises DataError where the listing
        lacks what the format requires.
        """


FORMATS = Registry("format", None)
for _name in LISTS:
    FORMATS.register(_name, None, f"{__name__}.{_name}")
