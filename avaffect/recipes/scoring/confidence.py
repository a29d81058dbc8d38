"""Confidence intervals of the scores of classes, for `eval-class --confidence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data.manifest import Item
from avaffect.evaluation import bootstrap, classification
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.classes import Intervals

DRAWS = 2000
# Of fewer, an interval of percentiles is too narrow.
FEW = 10
SCORES = {
    "accuracy": classification.accuracy,
    "ua": classification.unweighted_accuracy,
    "f1_macro": classification.f1_macro,
}
SPEAKERS, UTTERANCES = "speakers", "utterances"

Pairs = Mapping[RunName, Mapping[str, tuple[str, str]]]


def intervals_of(
    name: str,
    items: Sequence[Item],
    pairs: Pairs,
    classes: Sequence[str],
    percent: float,
    progress: Progress,
) -> Intervals:
    """Of the scores of predictions `name`.

    pairs: run -> id -> (gold class, predicted class). Speakers are drawn where the items name one
    for each scored utterance, otherwise utterances. Raises DataError for fewer than two of them.
    """
    scored = dict.fromkeys(identifier for run in pairs.values() for identifier in run)
    speakers = {item["id"]: item.get("speaker") for item in items if item["id"] in scored}
    over = SPEAKERS if all(speakers.values()) else UTTERANCES
    unit_of = speakers if over == SPEAKERS else dict(zip(scored, scored))
    places = {unit: place for place, unit in enumerate(dict.fromkeys(unit_of.values()))}
    if len(places) < 2:
        raise DataError(f"{name}: intervals need two {over} or more, and there is {len(places)}")
    if over == UTTERANCES:
        progress.warn(
            f"{name} does not name each utterance's speaker: utterances are drawn, and where "
            "several are of one speaker the intervals are too narrow"
        )
    elif len(places) < FEW:
        progress.warn(f"{name}: intervals of {len(places)} speakers alone are too narrow")
    index = {of: place for place, of in enumerate(classes)}
    matrices = np.stack([
        bootstrap.grouped(
            [index[true] for true, _ in run.values()],
            [index[predicted] for _, predicted in run.values()],
            [places[unit_of[identifier]] for identifier in run],
            len(classes), len(places),
        )
        for run in pairs.values()
    ])  # fmt: skip
    random = seeds.generator(0, "bootstrap")
    bounds = bootstrap.intervals(matrices, SCORES, percent, DRAWS, random)
    return Intervals(percent=percent, over=over, units=len(places), draws=DRAWS, bounds=bounds)
