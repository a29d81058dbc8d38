"""Settings of `pretrain-apc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings
from avaffect.settings.training import learning_rate


@dataclass(frozen=True, kw_only=True)
class PretrainApcSettings(RecurrentPretrainingSettings):
    """Autoregressive Predictive Coding (Chung et al. 2019): an audio encoder predicts the log-mel
    spectrum some frames ahead."""

    examples: ClassVar[str] = """
    avaffect pretrain-apc lrw.h5 -o apc.safetensors
    # The features of its third layer
    avaffect extract cremad.h5 --model apc.safetensors --layer 3 -o features.h5
    # The control: an encoder that was initialised and not trained
    avaffect pretrain-apc lrw.h5 --steps 0 -o random.safetensors
    """

    output: Path = option(
        Path("apc.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    shift: int = option(
        3, "Distance to the predicted frame, in frames of 10 ms.", "--shift", at_least=1
    )
    learning_rate: float = learning_rate(1e-3)
