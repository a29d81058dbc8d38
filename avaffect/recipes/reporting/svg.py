"""Elements of SVG as escaped text, and what every drawing needs of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element. Underscores of an attribute's name are hyphens, one at its end is dropped; None
    leaves it out."""
    given = Markup("").join(
        Markup(' {}="{}"').format(_attribute(key), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), given, inside)


def _attribute(key: str) -> Markup:
    return Markup(key.rstrip("_").replace("_", "-"))


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def drawing(
    width: float, height: float, label: str, *children: str, role: str = "img", class_: str = ""
) -> Markup:
    """A picture that scales with its place. label: what it shows, for screen readers."""
    return element(
        "svg", *children, viewBox=f"0 0 {number(width)} {number(height)}", role=role,
        aria_label=label, class_=class_ or None, preserveAspectRatio="xMidYMid meet",
    )  # fmt: skip


def path(points: Iterable[tuple[float, float] | None]) -> str:
    """The `d` of a line through the points; None breaks it."""
    parts, begun = [], False
    for point in points:
        if point is not None:
            parts.append(f"{'L' if begun else 'M'}{number(point[0])} {number(point[1])}")
        begun = point is not None
    return "".join(parts)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from low to high, some `about` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    steps = [size * factor for factor in (1, 2, 5, 10)]
    place = next(k for k, step in enumerate(steps) if step >= raw * 0.999)
    # Between 0 and the first of large steps there may be no round number.
    for step in reversed(steps[: place + 1]):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first <= last:
            break
    return [round(number * step, 12) for number in range(first, last + 1)]


def ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest of finite values, apart from each other."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return low - room, high + room
