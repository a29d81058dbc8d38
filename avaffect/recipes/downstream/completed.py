"""What settings of `finetune` with every default in its place mean for a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

from avaffect.models.heads.base import FrameHead, HeadInput
from avaffect.models.heads.registry import HEADS
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import AUTO, FinetuneSettings
from avaffect.training.run import Batches


def selected(settings: FinetuneSettings, labels: Labels) -> str:
    """The score that epochs are chosen by."""
    return labels.scores[0] if settings.select in (None, AUTO) else settings.select


def new_head(settings: FinetuneSettings, inputs: Sequence[HeadInput], outputs: int) -> FrameHead:
    """A fresh head; on what is frozen it standardises its inputs first.

    Its configuration takes those of the settings that it has fields for.
    """
    part = HEADS[settings.head]
    known = {
        "hidden": settings.hidden,
        "layers": settings.layers,
        "dropout": settings.dropout,
        "frames_per_step": settings.frames_per_step,
        "standardise": settings.mode == "frozen",
    }
    fields = {field.name for field in dataclasses.fields(part.load_configuration())}
    chosen = {n: value for n, value in known.items() if n in fields and value is not None}
    given = [dataclasses.asdict(item) for item in inputs]
    return part.make({"inputs": given, "outputs": outputs, **chosen})


def rates(settings: FinetuneSettings) -> dict[str, float]:
    """Peak learning rates by what is trained."""
    encoder, head = settings.learning_rate, settings.head_learning_rate
    assert encoder is not None and head is not None
    return {"encoder": encoder, "heads": head}


def long_enough(settings: FinetuneSettings, batches: Batches) -> FinetuneSettings:
    """The settings with as many epochs as make the fewest steps that were asked for."""
    if settings.epochs is None or settings.least_steps is None:
        return settings
    steps = -(-max(1, len(batches.plan(0))) // settings.accumulate)
    return replace(settings, epochs=max(settings.epochs, -(-settings.least_steps // steps)))
