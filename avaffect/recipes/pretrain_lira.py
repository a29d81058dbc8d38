"""`pretrain-lira`: what is heard, from what is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_lira import PretrainLiraSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_lira(settings: PretrainLiraSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has both faces and sound.
    """
    pretrain("pretrain-lira", settings, lambda: _method(settings, progress), progress)


def _method(settings: PretrainLiraSettings, progress: Progress) -> Method:
    from torch import nn

    from avaffect.models.conformer import ConformerConfiguration
    from avaffect.models.visual import VisualEncoder
    from avaffect.objectives.lira import FEWEST_SAMPLES, AcousticPrediction
    from avaffect.recipes.pretraining.methods import Method
    from avaffect.recipes.pretraining.visual_encoders import new_visual_encoder

    def configuration(encoder: VisualEncoder) -> ConformerConfiguration:
        """Half as wide as the frames: 256 for ResNet-18."""
        dim = encoder.dim // 2
        return ConformerConfiguration(settings.blocks, dim, 8 * dim)

    return Method(
        new_encoder=lambda stores: new_visual_encoder(settings, stores, progress),
        objective=lambda encoder: AcousticPrediction(encoder, configuration(encoder)),
        head=lambda trained: nn.ModuleDict(
            {
                name: getattr(trained, name)
                for name in ("input", "conformer", "output", "standardisation")
            }
        ),
        loss="acoustic",
        fewest_frames=1,
        pretext={"objective": "acoustic_prediction", "blocks": settings.blocks},
        beside={"waveform": FEWEST_SAMPLES},
        watch=AcousticPrediction.collapse,
    )
