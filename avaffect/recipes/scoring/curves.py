"""A comparison as a picture: scores as curves against the number in the names of its rows, or as a
bar for each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avaffect.core.progress import Progress
from avaffect.recipes.common import pictures
from avaffect.recipes.scoring.reports.comparison import ComparedRow, Comparison
from avaffect.settings.compare import CompareSettings
from avaffect.settings.scores import score_words

PANEL_INCHES = (4.8, 3.6)


def draw(path: Path, report: Comparison, settings: CompareSettings, progress: Progress) -> None:
    """Write the picture of a comparison: means over runs, bars of one standard deviation.

    Beside curves a row that is on none is a broken line over the whole width; without curves each
    row is a bar. Raises OutputExistsError where another file is there, unless forced.
    """
    content = _picture(report, settings.axis, path.suffix.lower(), progress)
    pictures.write(path, settings, report.provenance, content, progress)


def _picture(report: Comparison, axis: str, suffix: str, progress: Progress) -> bytes:
    width, height = PANEL_INCHES
    scores = report.scores
    curves = any(row.at is not None for row in report.rows)

    def panels(figure: Any) -> None:
        for panel, score in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores):
            (_panel if curves else _bars)(panel, report.rows, score)
            panel.set_xlabel(axis)
            panel.set_ylabel(score_words(score))

    return pictures.drawn((width * len(scores), height), suffix, panels, progress)


def _panel(panel: Any, rows: Sequence[ComparedRow], score: str) -> None:
    names = list(dict.fromkeys(row.curve or row.name for row in rows))
    for number, name in enumerate(names):
        style = {"color": f"C{number}", "label": pictures.legend_name(name)}
        mine = [row for row in rows if name == (row.curve or row.name)]
        points = sorted(
            (row.at, row.scores[score].mean, row.scores[score].std or 0.0)
            for row in mine
            if row.scores[score].mean is not None
        )
        if points and mine[0].curve:
            x, mean, std = zip(*points)
            panel.errorbar(x, mean, yerr=std, marker="o", markersize=4, capsize=3, **style)
        elif points:
            panel.axhline(points[0][1], linestyle="--", **style)
    panel.set_xticks(sorted({row.at for row in rows if row.at is not None}))
    panel.grid(alpha=0.3)
    panel.legend()


def _bars(panel: Any, rows: Sequence[ComparedRow], score: str) -> None:
    """A bar for each row that has the score, from 0 to its mean."""
    there = [row for row in rows if row.scores[score].mean is not None]
    places = range(len(there))
    panel.bar(
        places,
        [row.scores[score].mean for row in there],
        yerr=[row.scores[score].std or 0.0 for row in there],
        color=[f"C{number}" for number, row in enumerate(rows) if row in there],
        capsize=3,
    )
    panel.set_xticks(places, [row.name for row in there])
    panel.axhline(0.0, color="black", linewidth=0.8)
    panel.grid(alpha=0.3, axis="y")
    panel.set_axisbelow(True)
    if sum(len(row.name) for row in there) > 30:
        pictures.leaning(panel)
