"""`pretrain-cpc`: Contrastive Predictive Coding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_cpc import PretrainCpcSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_cpc(settings: PretrainCpcSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError if no utterance is longer than the predicted frames.
    """
    pretrain("pretrain-cpc", settings, lambda: _method(settings), progress)


def _method(settings: PretrainCpcSettings) -> Method:
    from avaffect.models.contrastive import PRESETS, ContrastiveEncoder
    from avaffect.objectives.contrastive_prediction import (
        ContrastivePrediction,
        ContrastivePredictionConfiguration,
    )
    from avaffect.recipes.pretraining.methods import Method

    preset = PRESETS[settings.preset or "base"]
    configuration = ContrastivePredictionConfiguration(
        settings.ahead, settings.negatives, settings.negatives_from
    )
    return Method(
        kinds=("contrastive",),
        new_encoder=lambda stores: ContrastiveEncoder(replace(preset, cell=settings.cell or "gru")),
        objective=lambda encoder, kept: ContrastivePrediction(encoder, configuration),
    )
