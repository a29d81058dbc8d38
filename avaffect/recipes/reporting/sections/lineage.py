"""What made each artifact: a drawing, the same as a table, and a Makefile."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.table import Table
from avaffect.recipes.common.ancestry import FOREIGN, MISSING, REPORT, STREAM, Ancestor
from avaffect.recipes.common.lineage_tables import kind_of, shown, table
from avaffect.recipes.common.makefiles import makefile
from avaffect.recipes.reporting import graph
from avaffect.recipes.reporting.context import Context, anchor_of
from avaffect.recipes.reporting.parts import Chart, Code, Folded, Part, Section, TablePart

STYLES = {FOREIGN: "foreign", MISSING: "missing", STREAM: "stream"}
LEAD = (
    "From the first inputs at the top down to the artifacts of this report, which are framed "
    "strongly. A line is left out where a longer way says the same; the table has every input."
)


def section(context: Context) -> Section | None:
    """The lineage of all artifacts and reports; None without any."""
    found = context.lineage
    if not found:
        return None
    wanted = [str(path) for path in context.given.artifacts]
    given = {each.key for each in found if each.path in {*wanted}}
    nodes = [_node(each, each.key in given) for each in found]
    edges = [(parent.key, each.key) for each in found for parent in each.parents]
    label = f"Lineage of {', '.join(wanted)}; the table below has the same in words"
    parts: list[Part] = [
        Chart("", graph.draw(nodes, edges, label)),
        Folded("The lineage as a table", (TablePart(table(found)),)),
        Code("A Makefile that makes them again", makefile(found, wanted)),
    ]
    if any(each.missing for each in found):
        rows = [[each.path, each.missing] for each in found if each.missing]
        parts.append(TablePart(Table.of("Inputs that were not found", ["file", "why"], rows)))
    return Section("lineage", "Lineage", tuple(parts), LEAD)


def _node(each: Ancestor, is_given: bool) -> graph.Node:
    words = ", ".join(filter(None, (kind_of(each), each.command)))
    style = " ".join(filter(None, (STYLES.get(each.kind), "given" if is_given else "")))
    link = f"#{anchor_of(each.path)}" if is_given and each.kind != REPORT else ""
    name = shown(each).rpartition("/")[2]
    if name in ("", ".", ".."):
        name = f"{Path(each.path).resolve().name}/"
    return graph.Node(each.key, name, words, style, link)
