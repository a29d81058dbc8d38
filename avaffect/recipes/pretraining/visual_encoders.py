"""Shared by the pre-training commands of the visual encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from avaffect.core.progress import Progress
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.objectives.base import Pretraining
from avaffect.recipes.pretraining.kept_objective import Kept
from avaffect.recipes.pretraining.methods import Method
from avaffect.recipes.pretraining.pixels import face_statistics
from avaffect.settings.pretraining import VisualPretrainingSettings


def new_visual_encoder(
    settings: VisualPretrainingSettings, stores: Sequence[Store], progress: Progress
) -> VisualEncoder:
    """A fresh encoder with the mean and deviation of the faces in the stores."""
    configuration = PRESETS[settings.preset or "base"]
    found = face_statistics(stores, 1, progress)
    if found is not None:
        (mean,), (std,) = found
        configuration = replace(configuration, face_mean=mean, face_std=std)
    return VisualEncoder(configuration)


def visual_method(
    settings: VisualPretrainingSettings,
    progress: Progress,
    objective: Callable[[VisualEncoder], Pretraining],
) -> Method:
    """The pre-training of a visual encoder. objective: makes it around an encoder."""

    def around(encoder: Encoder, kept: Kept | None) -> Pretraining:
        # `kinds` admits no other encoder.
        assert isinstance(encoder, VisualEncoder)
        return objective(encoder)

    return Method(
        kinds=("visual",),
        new_encoder=lambda stores: new_visual_encoder(settings, stores, progress),
        objective=around,
    )
