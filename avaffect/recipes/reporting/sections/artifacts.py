"""What each artifact says of itself, as `avaffect info` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from avaffect.core.table import Table
from avaffect.recipes.common import sections as described
from avaffect.recipes.reporting.context import Context, anchor_of
from avaffect.recipes.reporting.parts import Folded, Part, Section, TablePart


def section(context: Context) -> Section | None:
    """Every artifact that was given, folded; None without any."""
    given = context.given
    paths = [path for path in given.artifacts if path not in given.reports]
    parts: list[Part] = []
    for path in paths:
        found = context.attempt(f"the description of {path}", _tables, context, path)
        parts.append(Folded(str(path), tuple(found), anchor_of(path)))
    if not parts:
        return None
    return Section("artifacts", "Artifacts", tuple(parts), "Content and settings of each artifact.")


def _tables(context: Context, path: Path) -> Iterator[TablePart]:
    for one in described.sections(context.commands.info(path)):
        # Rows of a section may be of different lengths; an empty column has no heading.
        columns = list(zip_longest(*one.rows, fillvalue=""))
        rows = [list(row) for row in zip(*columns)]
        yield TablePart(Table.of(one.title, [""] * len(columns), rows))
