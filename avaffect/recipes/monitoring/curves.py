"""Losses, metrics and scores of trainings as a picture."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avaffect.core.atomic import atomic_path
from avaffect.recipes.common import pictures
from avaffect.recipes.monitoring.events import tagged
from avaffect.recipes.monitoring.runs import TAGS, Line
from avaffect.settings.scores import score_words

PANEL_INCHES = (4.2, 3.0)
ACROSS = 3
# More lines than this have no legend.
MOST_NAMED = 10
# Of tagged names.
SHOWN = ("training/", "development/")

Points = list[tuple[int, float]]


class Curves:
    """Points of the lines of metrics files: name -> training -> (step, value)."""

    def __init__(self) -> None:
        self._points: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
        # Of scores, which follow the steps that they belong to.
        self._steps: dict[Path, int] = {}

    def __bool__(self) -> bool:
        return bool(self._points)

    def add(self, output: Path, lines: Sequence[Line], anew: bool) -> None:
        """Lines of the metrics file of a training; anew: in place of its former ones."""
        if anew:
            for of in self._points.values():
                for name in [name for name in of if name.startswith(f"{output}")]:
                    del of[name]
            self._steps.pop(output, None)
        for line in lines:
            step = int(line.values.get("step", self._steps.get(output, 0)))
            self._steps[output] = step
            tags = [f"{t} {line.values[t]}" for t in TAGS if t in line.values and t != "seed"]
            name = " ".join([str(output), *tags])
            for metric, value in tagged(line.values).items():
                if metric.startswith(SHOWN):
                    self._points[metric][name].append((step, value))

    def draw(self, path: Path) -> None:
        """A panel for each metric: those of training, then those of development."""
        names = [n for start in SHOWN for n in self._points if n.startswith(start)]
        across = min(ACROSS, len(names))
        down = math.ceil(len(names) / across)

        def panels(figure: Any) -> None:
            every = figure.subplots(down, across, squeeze=False).flatten()
            for panel, name in zip(every, names):
                _draw(panel, name, self._points[name])
            for panel in every[len(names) :]:
                panel.set_axis_off()

        size = (PANEL_INCHES[0] * across, PANEL_INCHES[1] * down)
        content = pictures.drawn(size, path.suffix.lower(), panels)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def _draw(panel: Any, name: str, lines: dict[str, Points]) -> None:
    part, _, metric = name.partition("/")
    for number, (training, points) in enumerate(lines.items()):
        x, y = zip(*points)
        few = "." if len(points) < MOST_NAMED else ""
        panel.plot(
            x,
            y,
            marker=few,
            color=f"C{number % 10}",
            label=pictures.legend_name(training),
            linewidth=1,
        )
    panel.set_title(f"{score_words(metric)}, {part}", fontsize="medium")
    panel.set_xlabel("step")
    panel.grid(alpha=0.3)
    if 1 < len(lines) <= MOST_NAMED:
        panel.legend(fontsize="x-small")
