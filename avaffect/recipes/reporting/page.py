"""The page: sections written by templates, with style and script within."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from avaffect import __version__
from avaffect.core import plain_json
from avaffect.core.hashing import canonical_json
from avaffect.core.provenance import Provenance
from avaffect.core.table import Table
from avaffect.recipes.reporting.parts import Section

# Of a table in the page.
MOST_CELLS, MOST_COLUMNS = 4000, 60
TEMPLATES = Path(__file__).parent / "templates"
_NUMBER = re.compile(r"[-−+]?[\d.]+( ± [\d.]+)?( ?%)?\*{0,2}( \[.*\])?|[\d.]+e[-+]?\d+")
_PROVENANCE = re.compile(r'<script type="application/json" id="provenance">(.*?)</script>', re.S)


def render(
    title: str,
    given: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    media: str,
    provenance: Provenance,
) -> str:
    """The whole page. given: (name, kind) of what it is of; media: what it embeds, in words."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["numeric"] = numeric_columns
    environment.filters["bounded"] = bounded
    return environment.get_template("page.html").render(
        title=title,
        given=given,
        sections=sections,
        media=media,
        version=__version__,
        provenance=_in_script(canonical_json(provenance)),
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
    )


def bounded(table: Table) -> Table:
    """A table that people can look at: of more columns, rows or cells, the first, with a note."""
    columns = min(len(table.columns), MOST_COLUMNS)
    rows = min(len(table.rows), max(1, MOST_CELLS // max(columns, 1)))
    left = [(len(table.columns) - columns, "columns"), (len(table.rows) - rows, "rows")]
    words = " and ".join(f"{count} more {what}" for count, what in left if count)
    if not words:
        return table
    cut = tuple(row[:columns] for row in table.rows[:rows])
    note = " ".join(filter(None, (table.note, f"Left out: {words}.")))
    return Table(table.title, table.columns[:columns], cut, note)


def numeric_columns(table: Table) -> list[bool]:
    """Whether each column of a table holds numbers alone, which stand at its right."""
    columns = ([row[n] for row in table.rows if row[n]] for n in range(len(table.columns)))
    return [bool(cells) and all(map(_NUMBER.fullmatch, cells)) for cells in columns]


def _in_script(text: str) -> Markup:
    """JSON within a script: no tag may end it."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def provenance_of(path: Path) -> Provenance | None:
    """What a page says of its making; None where a file is no such page."""
    try:
        found = _PROVENANCE.search(path.read_text(encoding="utf-8"))
        record: Any = None if found is None else plain_json.parse(found[1])
    except (ValueError, OSError):
        return None
    return record if isinstance(record, dict) else None
