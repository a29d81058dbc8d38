"""What settings of `finetune` with every default in its place mean for a run."""

from __future__ import annotations

from dataclasses import replace

from avaffect.models.inputs import Inputs
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import AUTO, FinetuneSettings
from avaffect.training.run import Batches


def selected(settings: FinetuneSettings, labels: Labels) -> str:
    """The score that epochs are chosen by."""
    return labels.scores[0] if settings.select in (None, AUTO) else settings.select


def steps_hz(settings: FinetuneSettings, inputs: Inputs) -> float:
    """Steps a second of the head."""
    assert settings.frames_per_step is not None
    return inputs.rate_hz / settings.frames_per_step


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
