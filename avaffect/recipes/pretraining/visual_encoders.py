"""Shared by the pre-training commands of the visual encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avaffect.core.progress import Progress
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.recipes.pretraining.pixels import face_statistics
from avaffect.settings.pretraining import VisualPretrainingSettings


def new_visual_encoder(
    settings: VisualPretrainingSettings, stores: Sequence[Store], progress: Progress
) -> VisualEncoder:
    """A fresh encoder that knows the mean and deviation of the faces in the stores."""
    configuration = PRESETS[settings.preset or "base"]
    found = face_statistics(stores, 1, progress)
    if found is not None:
        (mean,), (std,) = found
        configuration = replace(configuration, face_mean=mean, face_std=std)
    return VisualEncoder(configuration)


def visual(encoder: Encoder) -> VisualEncoder:
    """The same: `Method.kinds` lets no other kind pass."""
    assert isinstance(encoder, VisualEncoder)
    return encoder
