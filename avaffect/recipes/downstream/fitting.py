"""Heads that are fitted at once in `finetune`: one run, and what it will cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.models.heads.base import Examples, FittedHead
from avaffect.models.heads.labels import LabelHead
from avaffect.recipes.downstream import completed
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.downstream.partitions import Division
from avaffect.recipes.downstream.tasks.of_classes import OfClasses

# Longer fits are worth a warning.
LONG_S = 600.0
UNITS = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0))


def warn_of_cost(material: Material, divisions: Sequence[Division]) -> None:
    """Say before anything is computed that fitting will take long, and what makes it shorter."""
    form, settings = material.form, material.settings
    if not isinstance(form, FittedHead):
        return
    seconds = sum(form.seconds(int(d.train.sum()), _chooses(material, d)) for d in divisions)
    if seconds < LONG_S:
        return
    most = max(int(division.train.sum()) for division in divisions)
    unit, length = next(pair for pair in UNITS if seconds >= pair[1])
    material.progress.warn(
        f"--head {settings.head} will take about {seconds / length:.0f} {unit}, or longer, to fit "
        f"{count_of(most, 'utterance')} in {count_of(len(divisions), 'run')}, as its time grows "
        "with the square of their number: train on a share of them (--fraction), fix its options "
        "(--head-option), or take --head linear"
    )


def fit(
    material: Material, division: Division, head: LabelHead, score: Callable[[], dict[str, float]]
) -> dict[str, Any]:
    """Fit a head to the training part; the metrics of the run.

    score: the scores of the head, as it is, on development.
    """
    assert material.pooled is not None and isinstance(head.head, FittedHead)
    head.to(material.fabric.device).eval()
    (task,) = material.labels.chosen(division.train).tasks
    assert isinstance(task, OfClasses)
    rows = np.flatnonzero(division.train)
    targets = material.dataset.labels[task.name][rows]
    examples = Examples(material.pooled[rows], targets, task.class_weights())
    selected = completed.selected(material.settings, material.labels)
    chooses = _chooses(material, division)
    facts = head.head.fit(
        examples, (lambda: score()[selected]) if chooses else None, material.progress
    )
    material.progress.detail(", ".join(f"{name} {value}" for name, value in facts.items()))
    development = score() if division.development.any() else {}
    return {"development": development, "first": {}, "last": {}, "training": {}, "fitted": facts}


def _chooses(material: Material, division: Division) -> bool:
    return bool(division.development.any()) and material.settings.select != "none"
