"""`pretrain-dino`: self-distillation with no labels, on faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_dino import PretrainDinoSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_dino(settings: PretrainDinoSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has five pictures.
    """
    pretrain("pretrain-dino", settings, lambda: _method(settings, progress), progress)


def _method(settings: PretrainDinoSettings, progress: Progress) -> Method:
    from avaffect.objectives.distillation import Distillation, DistillationConfiguration
    from avaffect.recipes.pretraining.visual_encoders import visual_method

    configuration = DistillationConfiguration(
        settings.outputs, settings.local_views, settings.momentum, settings.centre_momentum,
        settings.student_temperature, settings.teacher_temperature, settings.frozen_epochs,
        settings.head_norm, settings.crop_seconds,
    )  # fmt: skip
    return visual_method(settings, progress, lambda encoder: Distillation(encoder, configuration))
