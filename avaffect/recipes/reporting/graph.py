"""A lineage as a drawing: layers from the first inputs down, lines from inputs to what they made.

Layers by longest path, places within them by the mean of the neighbours, lines over several layers
through places of their own (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 1981).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from avaffect.recipes.reporting.svg import drawing, element, number

BOX_WIDTH, BOX_HEIGHT = 190.0, 44.0
GAP, LAYER = 22.0, 78.0
# Of a place that a line passes a layer through.
PASS_WIDTH = 10.0
SWEEPS = 12
# Of a name, and of the words below it, in characters.
LONGEST, LONGEST_WORDS = 23, 33


@dataclass(frozen=True)
class Node:
    """words: below its name; style: classes of the box; link: a place in the page, "" for none."""

    key: str
    name: str
    words: str
    style: str = ""
    link: str = ""


# A node, or the place of a line on its way: (child, parent, layer).
Spot = str | tuple[str, str, int]


@dataclass(frozen=True)
class Layout:
    """x: middle of each spot; layers: the spots of each, from left to right; lines: for each edge
    the spots that it goes through."""

    x: Mapping[Spot, float]
    layers: Sequence[Sequence[Spot]]
    lines: Sequence[Sequence[Spot]]


def draw(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], label: str) -> Markup:
    """The drawing. nodes: parents first; edges: (parent, child); label: for screen readers."""
    found = laid_out([node.key for node in nodes], reduced(nodes, edges))
    by_key = {node.key: node for node in nodes}
    depth = {spot: row for row, layer in enumerate(found.layers) for spot in layer}
    drawn = [_line([(found.x[s], depth[s]) for s in spots]) for spots in found.lines]
    for layer in found.layers:
        for spot in layer:
            if isinstance(spot, str):
                drawn.append(_box(by_key[spot], found.x[spot], depth[spot]))
    width = max((x + _width(s) / 2 for s, x in found.x.items()), default=0.0)
    height = len(found.layers) * LAYER - (LAYER - BOX_HEIGHT) + 4
    # Text in a drawing that is stretched to a wide page would be larger than that of the page.
    shown = drawing(width + 4, height, label, *drawn, role="group", class_="graph")
    return Markup('<div class="wide" tabindex="0" style="--natural: {}px">{}</div>').format(
        number(width + 4), shown
    )


def reduced(nodes: Sequence[Node], edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges without those that a longer path says too."""
    parents = defaultdict(set)
    for parent, child in edges:
        parents[child].add(parent)
    above: dict[str, set[str]] = {}
    for node in nodes:
        mine = parents[node.key]
        above[node.key] = mine.union(*(above[p] for p in mine)) if mine else set()
    return [
        (parent, child)
        for child in (node.key for node in nodes)
        for parent in sorted(parents[child])
        if not any(parent in above[other] for other in parents[child])
    ]


def laid_out(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> Layout:
    """Places of nodes, parents first, whose edges go down."""
    level: dict[str, int] = {}
    parents = defaultdict(list)
    for parent, child in edges:
        parents[child].append(parent)
    for key in keys:
        level[key] = max((level[p] + 1 for p in parents[key]), default=0)
    _lower_sources(keys, edges, level)
    layers: list[list[Spot]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for key in keys:
        layers[level[key]].append(key)
    above: dict[Spot, list[Spot]] = defaultdict(list)
    below: dict[Spot, list[Spot]] = defaultdict(list)
    lines = []
    for parent, child in edges:
        between: list[Spot] = [(child, parent, n) for n in range(level[parent] + 1, level[child])]
        for row, spot in enumerate(between, level[parent] + 1):
            layers[row].append(spot)
        spots: list[Spot] = [parent, *between, child]
        lines.append(spots)
        for upper, lower in pairwise(spots):
            above[lower].append(upper)
            below[upper].append(lower)
    _order(layers, above, below)
    return Layout(_placed(layers, above, below), layers, lines)


def _lower_sources(
    keys: Sequence[str], edges: Sequence[tuple[str, str]], level: dict[str, int]
) -> None:
    """What has no input stands just above what was made of it."""
    children = defaultdict(list)
    has_parent = {child for _, child in edges}
    for parent, child in edges:
        children[parent].append(child)
    for key in keys:
        if key not in has_parent and children[key]:
            level[key] = min(level[child] for child in children[key]) - 1


Neighbours = Mapping[Spot, Sequence[Spot]]


def _order(layers: list[list[Spot]], above: Neighbours, below: Neighbours) -> None:
    """Sort each layer by the mean place of its neighbours above, then below, in turns; the order
    with the fewest crossings stays."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, above)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        rows = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for row in rows:
            neighbours, other = (above, row - 1) if down else (below, row + 1)
            place = {spot: n for n, spot in enumerate(layers[other])}
            own = {spot: n for n, spot in enumerate(layers[row])}
            layers[row].sort(key=_mean_place(neighbours, place, own))
        crossings = _crossings(layers, above)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _mean_place(
    neighbours: Neighbours, place: Mapping[Spot, int], own: Mapping[Spot, int]
) -> Callable[[Spot], float]:
    def mean(spot: Spot) -> float:
        found = [place[n] for n in neighbours[spot] if n in place] if spot in neighbours else []
        return sum(found) / len(found) if found else float(own[spot])

    return mean


def _crossings(layers: Sequence[Sequence[Spot]], above: Neighbours) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        place = {spot: n for n, spot in enumerate(upper)}
        ends = [(place[other], n) for n, spot in enumerate(lower) for other in above.get(spot, ())]
        count += sum(a < c and b > d for a, b in ends for c, d in ends)
    return count


def _placed(
    layers: Sequence[Sequence[Spot]], above: Neighbours, below: Neighbours
) -> dict[Spot, float]:
    """Spots as near to the middle of their neighbours as their order and widths allow."""
    x: dict[Spot, float] = {}
    for layer in layers:
        at = 0.0
        for spot in layer:
            x[spot] = at + _width(spot) / 2
            at += _width(spot) + GAP
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = [
                sum(x[n] for n in neighbours[s]) / len(neighbours[s]) if neighbours.get(s) else x[s]
                for s in layer
            ]
            for spot, at in zip(layer, _kept_apart(layer, wanted)):
                x[spot] = at
    left = min((at - _width(s) / 2 for s, at in x.items()), default=0.0)
    return {spot: at - left + 2 for spot, at in x.items()}


def _kept_apart(layer: Sequence[Spot], wanted: Sequence[float]) -> list[float]:
    """The mean of pushing to the right from the left end, and to the left from the right one."""

    def pushed(spots: Sequence[Spot], places: Sequence[float]) -> list[float]:
        found: list[float] = []
        for spot, at in zip(spots, places):
            if found:
                before = spots[len(found) - 1]
                at = max(at, found[-1] + (_width(before) + _width(spot)) / 2 + GAP)
            found.append(at)
        return found

    right = pushed(layer, wanted)
    left = [-at for at in pushed(layer[::-1], [-at for at in wanted[::-1]])][::-1]
    return [(a + b) / 2 for a, b in zip(left, right)]


def _width(spot: Spot) -> float:
    return BOX_WIDTH if isinstance(spot, str) else PASS_WIDTH


def _line(places: Sequence[tuple[float, int]]) -> Markup:
    """A smooth line from the lower side of one box to the upper side of another."""
    (x, row), *rest = places
    y = row * LAYER + BOX_HEIGHT + 2
    parts = [f"M{number(x)} {number(y)}"]
    for to_x, to_row in rest:
        to_y = to_row * LAYER + 2
        middle = (y + to_y) / 2
        parts.append(
            f"C{number(x)} {number(middle)} {number(to_x)} {number(middle)} "
            f"{number(to_x)} {number(to_y)}"
        )
        # Past the boxes of a layer it goes straight down.
        x, y = to_x, to_y + BOX_HEIGHT
        if (to_x, to_row) != rest[-1]:
            parts.append(f"V{number(y)}")
    return element("path", d="".join(parts), class_="edge")


def _box(node: Node, x: float, row: int) -> Markup:
    left, top = x - BOX_WIDTH / 2, row * LAYER + 2
    inside = [
        element("title", f"{node.name}: {node.words}"),
        element("rect", x=left, y=top, width=BOX_WIDTH, height=BOX_HEIGHT, rx=6),
        _text(_fitted(node.name, LONGEST), x, top + 18, "name"),
        _text(_fitted(node.words, LONGEST_WORDS), x, top + 34, "words"),
    ]
    name = "a" if node.link else "g"
    return element(name, *inside, class_=f"node {node.style}".strip(), href=node.link or None)


def _text(text: str, x: float, y: float, style: str) -> Markup:
    return element("text", text, x=x, y=y, text_anchor="middle", class_=style)


def _fitted(text: str, longest: int) -> str:
    """The beginning and the end of a long name: suffixes say what it is."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"
