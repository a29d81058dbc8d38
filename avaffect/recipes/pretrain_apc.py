"""`pretrain-apc`: Autoregressive Predictive Coding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_apc import PretrainApcSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_apc(settings: PretrainApcSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no utterance is longer than the shift.
    """
    pretrain("pretrain-apc", settings, lambda: _method(settings), progress)


def _method(settings: PretrainApcSettings) -> Method:
    from avaffect.models.recurrent import PRESETS, RecurrentEncoder
    from avaffect.objectives.autoregressive import (
        AutoregressivePrediction,
        AutoregressivePredictionConfiguration,
    )
    from avaffect.recipes.pretraining.methods import Method

    configuration = AutoregressivePredictionConfiguration(settings.shift)
    return Method(
        kinds=("recurrent",),
        new_encoder=lambda stores: RecurrentEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder, kept: AutoregressivePrediction(encoder, configuration),
    )
