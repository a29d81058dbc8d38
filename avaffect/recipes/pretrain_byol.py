"""`pretrain-byol`: Bootstrap your own latent, on faces."""

from __future__ import annotations

from torch import nn

from avaffect.core.progress import SILENT, Progress
from avaffect.objectives.bootstrap import Bootstrap
from avaffect.objectives.teacher import FEWEST_FRAMES
from avaffect.recipes.pretraining import Method, pretrain
from avaffect.recipes.visual_encoders import new_visual_encoder
from avaffect.settings.pretrain_byol import PretrainByolSettings


def pretrain_byol(settings: PretrainByolSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has five pictures.
    """
    method = Method(
        command="pretrain-byol",
        new_encoder=lambda stores: new_visual_encoder(settings, stores, progress),
        objective=lambda encoder: Bootstrap(encoder, settings.momentum, settings.smallest_crop),
        head=lambda trained: nn.ModuleDict(
            {"projector": trained.student["projector"], "predictor": trained.predictor}
        ),
        loss="byol",
        fewest_frames=FEWEST_FRAMES,
        pretext={
            "objective": "bootstrap", "momentum": settings.momentum,
            "smallest_crop": settings.smallest_crop,
        },
        watch=Bootstrap.collapse,
    )  # fmt: skip
    pretrain(settings, method, progress)
