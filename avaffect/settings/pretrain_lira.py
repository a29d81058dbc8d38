"""Settings of `pretrain-lira`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import option
from avaffect.settings.pretraining import VisualPretrainingSettings
from avaffect.settings.training import weight_decay


@dataclass(frozen=True, kw_only=True)
class PretrainLiraSettings(VisualPretrainingSettings):
    """LiRA (Ma et al. 2021), as in SS-VAERR: a video encoder with a conformer on it predicts
    acoustic features from the faces."""

    examples: ClassVar[str] = """
    avaffect pretrain-lira lrs3.h5 -o lira.safetensors
    # Valence and arousal on the encoder
    avaffect finetune sewa.h5 --encoder lira.safetensors \\
      --label arousal --label valence -o va.safetensors
    """

    output: Path = option(
        Path("lira.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    blocks: int = option(6, "Number of conformer blocks.", "--blocks", at_least=1)
    weight_decay: float = weight_decay(1e-4)
