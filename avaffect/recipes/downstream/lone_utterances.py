"""Losses that compare the utterances of a batch, and utterances that are alone in theirs."""

from __future__ import annotations

import numpy as np

from avaffect.core.errors import UsageError
from avaffect.core.nouns import count_of
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.downstream.one_run import batches_of
from avaffect.recipes.downstream.partitions import Division
from avaffect.recipes.downstream.tasks.base import Task
from avaffect.settings.label_losses import loss_of

# A larger share of lone utterances is worth a warning.
MANY = 0.5


def check(material: Material, division: Division) -> None:
    """Refuses a label whose loss compares utterances where each is alone in its batch; warns where
    many are, or where another loss of the label trains in its place."""
    for task in material.labels.chosen(division.train).tasks:
        comparing = [loss for loss in task.losses if loss_of(loss).coupled]
        if task.over_time or not comparing:
            continue
        alone, count = _alone(material, division, task)
        words = (
            f"{_limit(material)}: {alone} of {count_of(count, 'utterance')} with {task.name} are "
            f"alone in their batches, and the loss {comparing[0]} compares utterances of a batch; "
            "raise it, or choose another --loss, such as mse=1"
        )
        if alone == count and len(comparing) == len(task.losses):
            raise UsageError(words)
        if alone > MANY * count:
            material.progress.warn(words)


def _alone(material: Material, division: Division, task: Task) -> tuple[int, int]:
    """How many utterances have no other with the label in their batch, and how many there are."""
    if material.trains_on_means:
        rows = np.flatnonzero(task.known)
        together = [rows[n : n + material.settings.batch_utterances] for n in
                    range(0, len(rows), material.settings.batch_utterances)]  # fmt: skip
    else:
        known = task.known
        together = [batch[known[batch]] for batch in batches_of(material, division).plan(0)]
    return sum(len(batch) == 1 for batch in together), sum(map(len, together))


def _limit(material: Material) -> str:
    """The option that limits the size of a batch."""
    settings = material.settings
    if material.trains_on_means or settings.batch_utterances == 1:
        return f"--batch-utterances {settings.batch_utterances}"
    return f"--batch-seconds {settings.batch_seconds:g}"
