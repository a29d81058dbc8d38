"""Settings that the pre-training commands of the recurrent encoder share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.training import TrainingSettings

PRESETS = ("nano", "base")


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(TrainingSettings):
    """With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    fewest_steps: ClassVar[int] = 0

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    preset: str | None = option(
        None, "Size of a new encoder; base by default.", "--preset", choices=PRESETS
    )
    init: Path | None = option(
        None, "Continue from this encoder instead.", "--init", role="input",
        metavar="X.safetensors",
    )  # fmt: skip
    split: str = option(
        "train", "Split to use where there are splits; all for everything.", "--split"
    )
    epochs: int | None = option(None, "Passes over the data (50 unless --steps).", "--epochs")
    learning_rate: float = option(1e-4, "Peak learning rate.", "--learning-rate")
    schedule: str = option(
        "constant", "How the learning rate decays after warm-up.", "--schedule",
        choices=("linear", "cosine", "constant"),
    )  # fmt: skip
    warmup: float = option(0.0, "Share of training spent warming up.", "--warmup")
    clip: float = option(1.0, "Largest gradient norm; 0 for no clipping.", "--clip")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and self.preset is not None:
            raise UsageError("--preset is for a new encoder: --init has its size")
