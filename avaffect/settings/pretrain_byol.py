"""Settings of `pretrain-byol`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import option
from avaffect.settings.pretraining import ViewPretrainingSettings
from avaffect.settings.training import weight_decay


@dataclass(frozen=True, kw_only=True)
class PretrainByolSettings(ViewPretrainingSettings):
    """Bootstrap Your Own Latent (Grill et al. 2020) on videos of faces, as in SS-VAERR: the encoder
    predicts the representation of one view of a clip, by a moving average of the encoder (the
    teacher), from another view."""

    examples: ClassVar[str] = """
    avaffect pretrain-byol lrs3.h5 --epochs 100 -o byol.safetensors
    # Valence and arousal on the encoder
    avaffect finetune sewa.h5 --encoder byol.safetensors \\
      --label arousal --label valence -o va.safetensors
    """

    output: Path = option(
        Path("byol.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    smallest_crop: float = option(
        0.08,
        "Area of the smallest crop, as a share of the frame.",
        "--smallest-crop",
        above=0,
        at_most=1,
    )
    weight_decay: float = weight_decay(1e-4)
