"""`pretrain-lira`: predict audio features from the face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_lira import PretrainLiraSettings

if TYPE_CHECKING:
    from avaffect.models.visual import VisualEncoder
    from avaffect.objectives.lira import AcousticPrediction
    from avaffect.recipes.pretraining.methods import Method


def pretrain_lira(settings: PretrainLiraSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError if no clip has both faces and audio.
    """
    pretrain("pretrain-lira", settings, lambda: _method(settings, progress), progress)


def _method(settings: PretrainLiraSettings, progress: Progress) -> Method:
    from avaffect.objectives.lira import AcousticPrediction, AcousticPredictionConfiguration
    from avaffect.recipes.pretraining.visual_encoders import visual_method

    def objective(encoder: VisualEncoder) -> AcousticPrediction:
        configuration = AcousticPredictionConfiguration.on(encoder, settings.blocks)
        return AcousticPrediction(encoder, configuration)

    return visual_method(settings, progress, objective)
