"""Vectors of stores in two dimensions, coloured by their classes, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avaffect.recipes.common import pictures
from avaffect.recipes.scoring.clouds import Cloud

PANEL_INCHES = (4.2, 3.8)
# More classes than this have no legend.
MOST_NAMED = 12


def picture(clouds: Sequence[Cloud], by: Sequence[str], suffix: str) -> bytes:
    """A row of panels for each of `by`, a column for each cloud."""
    width, height = PANEL_INCHES

    def panels(figure: Any) -> None:
        for row, name in zip(figure.subplots(len(by), len(clouds), squeeze=False), by):
            known = sorted({n for cloud in clouds for n in cloud.names[name]} - {""})
            for panel, cloud in zip(row, clouds):
                _draw(panel, cloud, name, known)
            if len(known) <= MOST_NAMED:
                row[0].legend(fontsize="small", markerscale=2)

    return pictures.drawn((width * len(clouds), height * len(by)), suffix, panels)


def _draw(panel: Any, cloud: Cloud, name: str, known: Sequence[str]) -> None:
    of = np.array(cloud.names[name], dtype=object)
    for number, label in enumerate(known):
        x, y = cloud.places[of == label].T
        panel.scatter(x, y, s=6, color=f"C{number % 10}", label=pictures.legend_name(label))
    title = pictures.fitted(f"{cloud.title}: {name}", PANEL_INCHES[0])
    panel.set_title(title, fontsize="medium")
    panel.set_xlabel(cloud.words[name])
    panel.set_xticks([])
    panel.set_yticks([])
