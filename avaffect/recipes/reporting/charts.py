"""Drawings of numbers: lines, points and bars, in colours of the page's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from avaffect.recipes.reporting.svg import drawing, element, ends, path, ticks

# As many as style.css has colours; further series begin anew.
COLOURS = 12
WIDTH, HEIGHT = 340.0, 210.0
# Of rows of dots: their height, and the place of their names, in pixels and in characters.
ROW, NAMES, LONGEST = 24.0, 210.0, 32
# Points of a line: more than it is wide are not seen, and make the page large.
MOST_POINTS = 400
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 34.0


@dataclass(frozen=True)
class Series:
    """A line: x rising, y as long; a y that is NaN breaks it. dashed: a second line of a colour."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: int = 0
    dashed: bool = False


def thinned(series: Series, most: int) -> Series:
    """A line of `most` points at most: the means of as many neighbours each, without those that are
    NaN."""
    size = math.ceil(len(series.x) / most)
    if size < 2:
        return series
    x, y = np.asarray(series.x), np.asarray(series.y)
    parts = [slice(begin, begin + size) for begin in range(0, len(x), size)]
    known = [y[part][np.isfinite(y[part])] for part in parts]
    return replace(
        series,
        x=tuple(float(x[part].mean()) for part in parts),
        y=tuple(float(part.mean()) if len(part) else math.nan for part in known),
    )


@dataclass(frozen=True)
class Row:
    """A score: mean and standard deviation over runs, 0 of one run."""

    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class Frame:
    """The place of values within a drawing: [left, right] x [bottom, top] in pixels for [low, high]
    of both axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.across(x), self.up(y)

    def across(self, x: float) -> float:
        low, high = self.x
        return self.left + (x - low) / (high - low) * (self.right - self.left)

    def up(self, y: float) -> float:
        low, high = self.y
        return self.bottom - (y - low) / (high - low) * (self.bottom - self.top)


def lines(series: Sequence[Series], x_label: str, label: str, level: float | None = None) -> Markup:
    """Lines over a common axis. label: what the drawing shows, for screen readers; level: drawn
    across, such as chance."""
    values = [y for one in series for y in one.y] + ([] if level is None else [level])
    known = [x for one in series for x in one.x]
    frame = Frame(x=_apart(min(known), max(known)), y=ends(values))
    across = [] if level is None else [_level(frame, level)]
    drawn = [line(frame, one) for one in series]
    return drawing(WIDTH, HEIGHT, label, axes(frame, x_label), *across, *drawn, class_="plot")


def line(frame: Frame, series: Series) -> Markup:
    """One series within a frame; a single point is a dot. Long ones are thinned."""
    series = thinned(series, max(MOST_POINTS, round(frame.right - frame.left)))
    points = [
        frame.at(x, y) if math.isfinite(y) else None
        for x, y in zip(series.x, series.y, strict=True)
    ]
    there = [point for point in points if point is not None]
    title = element("title", series.name)
    style = f"series c{series.colour % COLOURS}" + (" dashed" if series.dashed else "")
    if len(there) == 1:
        return element("circle", title, cx=there[0][0], cy=there[0][1], r=3, class_=f"{style} dot")
    return element("path", title, d=path(points), class_=style)


def axes(frame: Frame, x_label: str | None, y_ticks: int = 4) -> Markup:
    """Ticks with their numbers, faint lines across, and the label of the horizontal axis, which has
    no numbers where that is None."""
    parts = []
    for value in ticks(*frame.y, y_ticks):
        y = frame.up(value)
        parts.append(element("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="grid"))
        parts.append(element("text", _short(value), x=frame.left - 6, y=y + 4, text_anchor="end"))
    for value in ticks(*frame.x, 5) if x_label is not None else ():
        x = frame.across(value)
        parts.append(element("text", _short(value), x=x, y=frame.bottom + 15, text_anchor="middle"))
    if x_label is not None:
        at = {"x": (frame.left + frame.right) / 2, "y": frame.bottom + 29}
        parts.append(element("text", x_label, text_anchor="middle", class_="axis", **at))
    return element("g", *parts, class_="axes", aria_hidden="true")


def points(places: Sequence[tuple[float, float]], colours: Sequence[int], label: str) -> Markup:
    """Dots of a plane whose axes mean nothing; a colour of -1 is grey."""
    frame = Frame(
        x=ends([x for x, _ in places]), y=ends([y for _, y in places]),
        left=8.0, right=WIDTH - 8, top=8.0, bottom=WIDTH - 8,
    )  # fmt: skip
    dots = [
        element(
            "circle", cx=at[0], cy=at[1], r=3, class_=f"dot c{c % COLOURS}" if c >= 0 else "dot"
        )
        for at, c in zip((frame.at(*place) for place in places), colours, strict=True)
    ]
    return drawing(WIDTH, WIDTH, label, *dots, class_="plot cloud")


def bars(edges: Sequence[float], counts: Sequence[int], x_label: str, label: str) -> Markup:
    """A histogram: counts[i] of the values from edges[i] to edges[i + 1]."""
    frame = Frame(x=_apart(edges[0], edges[-1]), y=(0.0, max([*counts, 1]) * 1.05))
    drawn = []
    for low, high, count in zip(edges, edges[1:], counts):
        x, top = frame.at(low, count)
        title = element("title", f"{_short(low)} to {_short(high)}: {count}")
        drawn.append(
            element("rect", title, x=x + 0.5, y=top, width=max(frame.across(high) - x - 1, 0.5),
                    height=frame.bottom - top, class_="bar")
        )  # fmt: skip
    return drawing(WIDTH, HEIGHT, label, axes(frame, x_label), *drawn, class_="plot")


def dots(rows: Sequence[Row], x_label: str, label: str) -> Markup:
    """A dot for the mean of each row, with a line to one standard deviation on either side."""
    spans = [(row.mean - row.std, row.mean + row.std) for row in rows]
    height = TOP + len(rows) * ROW + BOTTOM
    frame = Frame(
        x=ends([end for span in spans for end in span]), y=(0.0, float(len(rows))),
        left=NAMES, right=2 * WIDTH - RIGHT, top=TOP, bottom=height - BOTTOM,
    )  # fmt: skip
    drawn = []
    for value in ticks(*frame.x, 6):
        x = frame.across(value)
        drawn.append(element("line", x1=x, x2=x, y1=TOP, y2=frame.bottom, class_="grid"))
        at = {"x": x, "y": frame.bottom + 15}
        drawn.append(element("text", _short(value), text_anchor="middle", **at))
    for number, (row, (low, high)) in enumerate(zip(rows, spans)):
        y = TOP + (number + 0.5) * ROW
        name = row.name if len(row.name) <= LONGEST else f"…{row.name[1 - LONGEST :]}"
        drawn.append(element("text", name, x=NAMES - 10, y=y + 4, text_anchor="end"))
        ends_at = {"x1": frame.across(low), "x2": frame.across(high)}
        drawn.append(element("line", y1=y, y2=y, class_="series c0", **ends_at))
        words = f"{row.name}: {row.mean:.3f}" + (f" ± {row.std:.3f}" if row.std else "")
        dot = {"cx": frame.across(row.mean), "cy": y, "r": 4}
        drawn.append(element("circle", element("title", words), class_="dot c0", **dot))
    middle = {"x": (frame.left + frame.right) / 2, "y": frame.bottom + 29}
    drawn.append(element("text", x_label, text_anchor="middle", class_="axis", **middle))
    return drawing(2 * WIDTH, height, label, *drawn, class_="plot")


def _level(frame: Frame, level: float) -> Markup:
    y = frame.up(level)
    return element("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="level")


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}".replace("-", "−")
