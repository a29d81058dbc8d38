"""Settings of `pretrain-apc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import RecurrentPretrainingSettings


@dataclass(frozen=True, kw_only=True)
class PretrainApcSettings(RecurrentPretrainingSettings):
    """Autoregressive Predictive Coding (Chung et al. 2019): an encoder of sound learns to foretell
    the log-mel spectrum some frames ahead.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(Path("apc.safetensors"), "The encoder.", "-o", "--output", role="output")
    shift: int = option(3, "Frames of 10 ms between what is heard and foretold.", "--shift")
    learning_rate: float = option(1e-3, "Peak learning rate.", "--learning-rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shift < 1:
            raise UsageError(f"--shift {self.shift}: 1 at least")
