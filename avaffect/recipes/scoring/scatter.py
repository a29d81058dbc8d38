"""Vectors of stores in two dimensions, coloured by their classes, as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.recipes.scoring.curves import METADATA, PNG_DOTS

PANEL_INCHES = (4.2, 3.8)
# More classes than this have no legend.
MOST_NAMED = 12


@dataclass(frozen=True)
class Cloud:
    """places (N, 2); names: what is told apart -> (N,) names, "" unknown; words: under the panel,
    likewise."""

    title: str
    places: np.ndarray
    names: Mapping[str, Sequence[str]]
    words: Mapping[str, str]


def picture(clouds: Sequence[Cloud], by: Sequence[str], suffix: str) -> bytes:
    """A row of panels for each of `by`, a column for each cloud."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height = PANEL_INCHES
    with matplotlib.rc_context({"svg.hashsalt": "avaffect"}):
        size = (width * len(clouds), height * len(by))
        figure = Figure(figsize=size, dpi=PNG_DOTS, layout="constrained")
        panels = figure.subplots(len(by), len(clouds), squeeze=False)
        for row, name in zip(panels, by):
            known = sorted({n for cloud in clouds for n in cloud.names[name]} - {""})
            for panel, cloud in zip(row, clouds):
                of = np.array(cloud.names[name], dtype=object)
                for number, label in enumerate(known):
                    x, y = cloud.places[of == label].T
                    panel.scatter(x, y, s=6, color=f"C{number % 10}", label=label)
                panel.set_title(f"{cloud.title}: {name}")
                panel.set_xlabel(cloud.words[name])
                panel.set_xticks([])
                panel.set_yticks([])
            if len(known) <= MOST_NAMED:
                row[0].legend(fontsize="small", markerscale=2)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata=METADATA[suffix])
    return buffer.getvalue()
