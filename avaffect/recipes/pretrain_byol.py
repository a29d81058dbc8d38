"""`pretrain-byol`: Bootstrap your own latent, on faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_byol import PretrainByolSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_byol(settings: PretrainByolSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has five pictures.
    """
    pretrain("pretrain-byol", settings, lambda: _method(settings, progress), progress)


def _method(settings: PretrainByolSettings, progress: Progress) -> Method:
    from torch import nn

    from avaffect.objectives.bootstrap import Bootstrap
    from avaffect.objectives.teacher import FEWEST_FRAMES
    from avaffect.recipes.pretraining.methods import Method
    from avaffect.recipes.pretraining.visual_encoders import new_visual_encoder

    return Method(
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
