"""`pretrain-apc`: Autoregressive Predictive Coding."""

from __future__ import annotations

from torch import nn

from avaffect.core.progress import SILENT, Progress
from avaffect.models.recurrent import PRESETS, RecurrentEncoder
from avaffect.objectives.autoregressive import AutoregressivePrediction
from avaffect.recipes.pretraining import Method, pretrain
from avaffect.settings.pretrain_apc import PretrainApcSettings


def pretrain_apc(settings: PretrainApcSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no utterance is longer than the shift.
    """
    method = Method(
        command="pretrain-apc",
        new_encoder=lambda stores: RecurrentEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder: AutoregressivePrediction(
            encoder, nn.Linear(encoder.dim, encoder.feature_dim), settings.shift
        ),
        head=lambda objective: objective.head,
        loss="prediction",
        fewest_frames=settings.shift + 1,
        pretext={"objective": "autoregressive_prediction", "shift": settings.shift},
    )
    pretrain(settings, method, progress)
