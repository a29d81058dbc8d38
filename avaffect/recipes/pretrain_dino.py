"""`pretrain-dino`: self-distillation with no labels, on faces."""

from __future__ import annotations

from dataclasses import asdict

from avaffect.core.progress import SILENT, Progress
from avaffect.objectives.distillation import Distillation, Distilling
from avaffect.objectives.teacher import FEWEST_FRAMES
from avaffect.recipes.pretraining import Method, pretrain
from avaffect.recipes.visual_encoders import new_visual_encoder
from avaffect.settings.pretrain_dino import PretrainDinoSettings


def pretrain_dino(settings: PretrainDinoSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has five pictures.
    """
    distilling = Distilling(
        settings.outputs, settings.local_views, settings.momentum, settings.centre_momentum,
        settings.student_temperature, settings.teacher_temperature, settings.frozen_epochs,
        settings.head_norm,
    )  # fmt: skip
    method = Method(
        command="pretrain-dino",
        new_encoder=lambda stores: new_visual_encoder(settings, stores, progress),
        objective=lambda encoder: Distillation(encoder, distilling),
        head=lambda trained: trained.student["head"],
        loss="dino",
        fewest_frames=FEWEST_FRAMES,
        pretext={"objective": "self_distillation", **asdict(distilling)},
        watch=Distillation.collapse,
    )
    pretrain(settings, method, progress)
