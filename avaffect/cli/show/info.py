"""Prints descriptions of artifacts: sections on a terminal, or JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.shown import on_one_line
from avaffect.settings.info import InfoSettings

if TYPE_CHECKING:
    from avaffect.recipes.common.sections import Section

INDENT = "  "
# Columns for the last cell of a row on a narrow terminal.
NARROWEST = 20


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
        print(on_one_line(f"{found.path}: {found.kind}, version {found.version}"))
        for section in sections(found):
            _print(section)
    if len(settings.files) > 1:
        progress.say(f"{count_of(len(settings.files), 'file')} described")


def _print(section: Section) -> None:
    """A title, and below it rows in aligned columns; on a terminal lines end where it does."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(f"\n{on_one_line(section.title)}")
    for line in lines_of(section, columns):
        print(line)


def lines_of(section: Section, columns: int | None) -> Iterator[str]:
    """Rows in aligned columns; a last cell that does not fit goes on below its beginning. Words are
    not broken. columns: of the terminal; None: any length."""
    rows = [[on_one_line(cell) for cell in row] for row in section.rows]
    widths = [max(map(len, cells)) for cells in zip_longest(*rows, fillvalue="")]
    for *cells, last in rows:
        start = INDENT + "".join(f"{c.ljust(width)}{INDENT}" for c, width in zip(cells, widths))
        parts = [last]
        if columns is not None:
            room = max(columns - len(start), NARROWEST)
            parts = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False)
        for number, part in enumerate(parts or [""]):
            yield f"{' ' * len(start) if number else start}{part}".rstrip()
