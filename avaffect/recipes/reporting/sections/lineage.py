"""What made each artifact: a drawing, the same as a table, and a Makefile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from avaffect.core.hashing import canonical_json
from avaffect.core.table import Table
from avaffect.recipes.common.ancestry import FOREIGN, MISSING, REPORT, STREAM, Ancestor
from avaffect.recipes.common.lineage_tables import kind_of, shown, table
from avaffect.recipes.common.makefiles import makefile
from avaffect.recipes.reporting import graph
from avaffect.recipes.reporting.context import Context, anchor_of
from avaffect.recipes.reporting.parts import Chart, Code, Folded, Note, Part, Section, TablePart

STYLES = {FOREIGN: "foreign", MISSING: "missing", STREAM: "stream"}
# Of a drawing that can be looked at.
MOST_BOXES = 48
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
    drawn, note = _drawing(found, wanted)
    parts: list[Part] = [
        Chart("", drawn),
        *note,
        Folded("The lineage as a table", (TablePart(table(found)),)),
        Code("A Makefile that makes them again", makefile(found, wanted)),
    ]
    if any(each.missing for each in found):
        rows = [[each.path, each.missing] for each in found if each.missing]
        parts.append(TablePart(Table.of("Inputs that were not found", ["file", "why"], rows)))
    return Section("lineage", "Lineage", tuple(parts), LEAD)


def _drawing(found: Sequence[Ancestor], wanted: Sequence[str]) -> tuple[Markup, list[Part]]:
    """The drawing, in which runs of one step are one box where there are too many boxes."""
    is_large = len(found) > MOST_BOXES
    boxes = together(found) if is_large else [[each] for each in found]
    place = {each.key: box[0].key for box in boxes for each in box}
    nodes = [_node(box, {*wanted}) for box in boxes]
    edges = [(place[parent.key], place[each.key]) for each in found for parent in each.parents]
    note: list[Part] = [Note("Runs of a step that differ in their seeds are one box.")]
    label = f"Lineage of {', '.join(wanted)}; the table below has the same in words"
    return graph.draw(nodes, list(dict.fromkeys(edges)), label), note if is_large else []


def together(found: Sequence[Ancestor]) -> list[list[Ancestor]]:
    """Ancestors, parents first, in groups of those that one command made with settings that differ
    in the seed alone, from inputs of the same groups."""
    made: dict[tuple[str, ...], list[Ancestor]] = defaultdict(list)
    alike: dict[str, tuple[str, ...]] = {}
    for each in found:
        sign: tuple[str, ...] = (each.key,)
        if each.kind not in (FOREIGN, MISSING, STREAM):
            settings = {name: value for name, value in each.settings.items() if name != "seed"}
            inputs = sorted({f"{p.role} {made[alike[p.key]][0].key}" for p in each.parents})
            sign = (each.command, each.content, canonical_json(settings), *inputs)
        alike[each.key] = sign
        made[sign].append(each)
    return list(made.values())


def _node(box: Sequence[Ancestor], wanted: set[str]) -> graph.Node:
    first, more = box[0], len(box) - 1
    words = ", ".join(filter(None, (kind_of(first), first.command)))
    given = [each for each in box if each.path in wanted]
    style = " ".join(filter(None, (STYLES.get(first.kind), "given" if given else "")))
    linked = [each for each in given if each.kind != REPORT]
    link = f"#{anchor_of(linked[0].path)}" if linked else ""
    name = shown(first).rpartition("/")[2]
    if name in ("", ".", ".."):
        name = f"{Path(first.path).resolve().name}/"
    return graph.Node(first.key, name, f"{words}, and {more} more" if more else words, style, link)
