"""Prints descriptions of artifacts: sections on a terminal, or JSON."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING

from avaffect.core.progress import Progress
from avaffect.settings.info import InfoSettings

if TYPE_CHECKING:
    from avaffect.recipes.common.sections import Section

INDENT = "  "


def show(settings: InfoSettings, progress: Progress) -> None:
    from avaffect.recipes.common.sections import sections
    from avaffect.recipes.info import info

    for place, path in enumerate(settings.files):
        found = info(path, settings.lineage)
        if settings.json:
            print(json.dumps(found.to_dict(), ensure_ascii=False))
            continue
        if place:
            print()
        print(f"{found.path}: {found.kind}, version {found.version}")
        for section in sections(found):
            _print(section)


def _print(section: Section) -> None:
    """A title, and below it rows in aligned columns."""
    print(f"\n{section.title}")
    columns = zip_longest(*section.rows, fillvalue="")
    widths = [max(map(len, cells)) for cells in columns]
    for row in section.rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print(f"{INDENT}{INDENT.join(cells)}".rstrip())
