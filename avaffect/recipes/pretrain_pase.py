"""`pretrain-pase`: the Problem-Agnostic Speech Encoder."""

from __future__ import annotations

from avaffect.core.progress import SILENT, Progress
from avaffect.models.pase import PRESETS, PaseEncoder
from avaffect.objectives.problem_agnostic import FEWEST_FRAMES, ProblemAgnostic
from avaffect.recipes.pretraining import Method, pretrain
from avaffect.settings.pretrain_pase import PretrainPaseSettings


def pretrain_pase(settings: PretrainPaseSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no utterance has room for two chunks.
    """
    method = Method(
        command="pretrain-pase",
        new_encoder=lambda stores: PaseEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder: ProblemAgnostic(encoder, settings.workers),
        head=lambda objective: objective.workers,
        loss="workers",
        fewest_frames=FEWEST_FRAMES,
        pretext={"objective": "problem_agnostic", "workers": list(settings.workers)},
    )
    pretrain(settings, method, progress)
