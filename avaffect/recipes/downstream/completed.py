"""Settings of `finetune` with every default filled in, applied to a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from avaffect.core.headers import ReadLayers
from avaffect.models.heads.base import FrameHead, HeadInput
from avaffect.models.heads.registry import HEADS, options_of
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.head_options import WEIGHTED
from avaffect.settings.runs import AUTO
from avaffect.training.run import Batches


def selected(settings: FinetuneSettings, labels: Labels) -> str:
    """The score that selects the epoch."""
    return labels.scores[0] if settings.select in (None, AUTO) else settings.select


def new_head(settings: FinetuneSettings, inputs: Sequence[HeadInput], outputs: int) -> FrameHead:
    """A fresh head with the options of the settings; it standardises frozen inputs if it can."""
    part = HEADS[settings.head]
    configuration: dict[str, Any] = settings.options(options_of(settings.head))
    if "standardise" in {field.name for field in fields(part.load_configuration())}:
        frozen, normed = settings.mode == "frozen", configuration.get("pooled_norm", False)
        configuration["standardise"] = frozen and not normed
    return part.make({"inputs": [asdict(i) for i in inputs], "outputs": outputs, **configuration})


def read_layers(settings: FinetuneSettings) -> ReadLayers | None:
    """What the head reads of the encoder; None: its output."""
    if settings.layers == WEIGHTED:
        return ReadLayers(normalised=settings.normalise_layers)
    return None if settings.layer is None else ReadLayers(layer=settings.layer)


def rates(settings: FinetuneSettings) -> dict[str, float]:
    """Peak learning rates of the trained parts."""
    encoder, head = settings.learning_rate, settings.head_learning_rate
    assert encoder is not None and head is not None
    return {"encoder": encoder, "heads": head}


def long_enough(settings: FinetuneSettings, batches: Batches) -> FinetuneSettings:
    """The settings with enough epochs for the fewest steps that they require."""
    if settings.epochs is None or settings.least_steps is None:
        return settings
    steps = -(-max(1, len(batches.plan(0))) // settings.accumulate)
    return replace(settings, epochs=max(settings.epochs, -(-settings.least_steps // steps)))
