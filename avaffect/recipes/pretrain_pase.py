"""`pretrain-pase`: the Problem-Agnostic Speech Encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_pase import PretrainPaseSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_pase(settings: PretrainPaseSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no utterance has room for two chunks.
    """
    pretrain("pretrain-pase", settings, lambda: _method(settings), progress)


def _method(settings: PretrainPaseSettings) -> Method:
    from avaffect.models.pase import PRESETS, PaseEncoder
    from avaffect.objectives.problem_agnostic import ProblemAgnostic, ProblemAgnosticConfiguration
    from avaffect.recipes.pretraining.methods import Method

    configuration = ProblemAgnosticConfiguration(settings.workers)
    return Method(
        kinds=("pase",),
        new_encoder=lambda stores: PaseEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder, kept: ProblemAgnostic(encoder, configuration),
    )
