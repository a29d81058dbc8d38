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
    from avaffect.objectives.bootstrap import Bootstrap, BootstrapConfiguration
    from avaffect.recipes.pretraining.visual_encoders import visual_method

    configuration = BootstrapConfiguration(
        settings.momentum, settings.smallest_crop, crop_seconds=settings.crop_seconds
    )
    return visual_method(settings, progress, lambda encoder: Bootstrap(encoder, configuration))
