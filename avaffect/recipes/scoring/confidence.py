"""Confidence intervals of the scores of classes, for `eval-class --confidence` and `compare`."""

from __future__ import annotations

import numpy as np

from avaffect.core import seeds
from avaffect.core.progress import Progress
from avaffect.evaluation import bootstrap, classification
from avaffect.recipes.scoring.class_pairs import SPEAKERS, UTTERANCES, PairedClasses, Units, units
from avaffect.recipes.scoring.reports.classes import FEW_SPEAKERS, Intervals

DRAWS = 2000
SCORES = {
    "accuracy": classification.accuracy,
    "ua": classification.unweighted_accuracy,
    "f1_macro": classification.f1_macro,
}


def intervals_of(of: PairedClasses, percent: float, progress: Progress) -> Intervals | None:
    """Of the scores of predictions, over speakers where they name them; None, with a warning, for
    fewer than two speakers or utterances."""
    drawn = units(of)
    if drawn.count < 2:
        progress.warn(
            f"{of.name}: no intervals, which need two {drawn.over} or more; there is {drawn.count}"
        )
        return None
    warn_of_units(of.name, drawn, progress)
    matrices, counts = drawn.matrices(list(of.pairs.values()), of.classes)
    found = bootstrap.intervals(matrices, SCORES, percent, DRAWS, generator(), counts)
    return Intervals(percent=percent, over=drawn.over, units=drawn.count, draws=DRAWS, bounds=found)


def warn_of_units(name: str, drawn: Units, progress: Progress) -> None:
    """Warn where intervals are too narrow."""
    if drawn.over == UTTERANCES:
        progress.warn(
            f"{name} does not name each utterance's speaker: utterances are drawn, and where "
            "several are of one speaker the intervals are too narrow"
        )
    elif drawn.count < FEW_SPEAKERS:
        progress.warn(f"{name}: intervals of {drawn.count} {SPEAKERS} alone are too narrow")


def generator() -> np.random.Generator:
    """The same draws in every command."""
    return seeds.generator(0, "bootstrap")
