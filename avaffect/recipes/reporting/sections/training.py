"""Curves of training, from the histories that runs write beside their checkpoints."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avaffect.core.nouns import count_of
from avaffect.core.table import Table
from avaffect.recipes.common import work
from avaffect.recipes.monitoring.runs import values_of
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.beside import histories
from avaffect.recipes.reporting.charts import Series
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.given import history
from avaffect.recipes.reporting.parts import Chart, Charts, Folded, Note, Part, Section, TablePart
from avaffect.settings.scores import score_words
from avaffect.training.state import METRICS_SUFFIX, metrics_path

# Of each line, what is no curve: the time that a step takes.
ASIDE = "times_real_time"
TAGS = ("run", "fold")
# Of files in a heading; of groups of histories that are all shown.
MOST_NAMED, MOST_SHOWN = 4, 4
# Of the lines of a drawing: more are not told apart, and make the page large.
MOST_RUNS = 40
LEAD = (
    "Means since the line before, as each run wrote them, of the checkpoints given and of those "
    "that they were made from."
)


@dataclass
class Curves:
    """Of one training, a run of the history `path`: axis (step or epoch) -> metric -> points."""

    path: Path
    name: str
    points: dict[str, dict[str, list[tuple[float, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """What it has: histories of one shape share their charts."""
        return tuple(sorted((axis, name) for axis, of in self.points.items() for name in of))


def section(context: Context) -> Section | None:
    """The histories given and those beside checkpoints of the lineage, which are folded where they
    are many; None without any."""
    wanted = {metrics_path(path) for path, _ in context.given.checkpoints}
    wanted |= {*context.given.metrics}
    groups = list(_alike(histories(context.lineage, context.given)).values())
    parts: list[Part] = []
    for group in groups:
        own = context.attempt("the curves of training", _parts, group)
        is_given = any(curves.path in wanted for curves in group)
        folds = len(groups) > MOST_SHOWN and not is_given
        parts += [Folded(_title(group), tuple(own))] if folds else own
    return Section("training", "Training", tuple(parts), LEAD) if parts else None


def _alike(paths: list[Path]) -> Mapping[tuple, list[Curves]]:
    groups: dict[tuple, list[Curves]] = defaultdict(list)
    for path in paths:
        for curves in read(path):
            groups[curves.shape].append(curves)
    return groups


def read(path: Path) -> list[Curves]:
    """The curves of a history, of each run and fold in it; damaged lines are left out."""
    found: dict[str, Curves] = {}
    for line in history(path):
        tags = " ".join(f"{tag} {line[tag]}" for tag in TAGS if line.get(tag) is not None)
        name = f"{_output_of(path)} {tags}".strip()
        curves = found.setdefault(name, Curves(path, name))
        axis = "step" if "step" in line else "epoch"
        at = line.get(axis)
        if not isinstance(at, (int, float)):
            continue
        for metric, value in values_of(line, ASIDE).items():
            curves.points[axis][metric].append((float(at), value))
    return list(found.values())


def _parts(group: list[Curves]) -> Iterator[Part]:
    every, group = group, evenly(group, MOST_RUNS)
    if len(group) < len(every):
        yield Note(
            f"{len(group)} of {count_of(len(every), 'run')} are shown, evenly over their order."
        )
    first = group[0]
    drawn = [_chart(axis, metric, group) for axis, of in first.points.items() for metric in of]
    if drawn:
        names = tuple(curves.name for curves in group) if len(group) > 1 else ()
        yield Charts(_title(group), tuple(drawn), names)
        yield Folded("The curves in numbers", (TablePart(_ends(group)),))


def evenly(group: list[Curves], most: int) -> list[Curves]:
    """`most` of the curves at most, the first and the last among them."""
    if len(group) <= most:
        return group
    return [group[round(place * (len(group) - 1) / (most - 1))] for place in range(most)]


def _title(group: list[Curves]) -> str:
    files = Counter(_output_of(curves.path) for curves in group)
    titles = [file if n == 1 else f"{file}, {count_of(n, 'run')}" for file, n in files.items()]
    return work.some_of(titles, MOST_NAMED)


def _output_of(path: Path) -> str:
    return path.name.removesuffix(METRICS_SUFFIX)


def _chart(axis: str, metric: str, group: list[Curves]) -> Chart:
    series = []
    for number, curves in enumerate(group):
        x, y = zip(*sorted(curves.points[axis][metric]))
        series.append(Series(curves.name, x, y, number))
    # Lines of epochs are scores of the development split.
    words = _words(metric) + (", development" if axis == "epoch" else "")
    first, last = series[0].y[0], series[0].y[-1]
    label = f"{words} over {axis}s, of {series[0].name} from {first:.3g} to {last:.3g}"
    return Chart(words, charts.lines(series, axis, label))


def _words(metric: str) -> str:
    return score_words(metric).replace("_", " ")


def _ends(group: list[Curves]) -> Table:
    """First, best and last value of each curve."""
    rows = []
    for curves in group:
        for of in curves.points.values():
            for metric, points in of.items():
                values = [y for _, y in sorted(points) if math.isfinite(y)] or [math.nan]
                rows.append([
                    curves.name, _words(metric), str(len(points)),
                    *(f"{v:.4g}" for v in (values[0], min(values), max(values), values[-1])),
                ])  # fmt: skip
    columns = ["run", "metric", "points", "first", "least", "greatest", "last"]
    return Table.of("The curves in numbers", columns, rows)
