"""Settings of `pretrain-dino`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import option
from avaffect.settings.pretraining import ViewPretrainingSettings
from avaffect.settings.training import clip, weight_decay


@dataclass(frozen=True, kw_only=True)
class PretrainDinoSettings(ViewPretrainingSettings):
    """Self-distillation with no labels (DINO, Caron et al. 2021) on videos of faces, as in
    SS-VAERR: the encoder (student), on small and large crops of a clip, predicts the output
    distribution that a moving average of itself (teacher) has on the large crops."""

    examples: ClassVar[str] = """
    avaffect pretrain-dino lrs3.h5 --epochs 100 -o dino.safetensors
    # A small corpus
    avaffect pretrain-dino A.h5 --preset nano --head-norm -o small.safetensors
    # Valence and arousal on the encoder
    avaffect finetune sewa.h5 --encoder dino.safetensors \\
      --label arousal --label valence -o va.safetensors
    """

    output: Path = option(
        Path("dino.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    outputs: int | None = option(
        None,
        "Output dimension of the head, under the softmax. Default: 4096 with preset base, 512 "
        "with nano.",
        "--outputs",
        at_least=2,
    )
    local_views: int = option(
        8, "Number of small crops of each clip, beside two large ones.", "--local-views",
        at_least=0,
    )  # fmt: skip
    student_temperature: float = option(
        0.1, "Softmax temperature of the student.", "--student-temperature", above=0
    )
    teacher_temperature: float = option(
        0.04, "Softmax temperature of the teacher.", "--teacher-temperature", above=0
    )
    centre_momentum: float = option(
        0.9,
        "Momentum of the centre that is subtracted from the teacher's outputs.",
        "--centre-momentum",
        at_least=0,
        below=1,
    )
    frozen_epochs: int = option(
        1, "Epochs in which the last layer is frozen.", "--frozen-epochs", at_least=0
    )
    head_norm: bool = option(
        False, "Batch normalisation in the head, for small corpora.", "--head-norm"
    )
    weight_decay: float = weight_decay(0.04)
    clip: float = clip(3.0)
