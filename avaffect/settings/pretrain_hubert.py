"""Settings of `pretrain-hubert`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.training import TrainingSettings

PRESETS = ("nano", "tiny", "base", "large")
MODALITIES = ("audio",)


@dataclass(frozen=True, kw_only=True)
class PretrainHubertSettings(TrainingSettings):
    """Masked prediction of hidden units (HuBERT; SAAML Eq. 6). One command is one iteration: the
    first on units of MFCC, the next on units of a layer of the model before.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    fewest_steps: ClassVar[int] = 0

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("hubert.safetensors"), "The encoder.", "-o", "--output", role="output"
    )
    units: tuple[Path, ...] = option(
        MISSING, "Stores of units, by `extract` with a quantiser.", "--units", role="input",
        metavar="UNITS.h5",
    )  # fmt: skip
    modality: str = option("audio", "What the encoder reads.", "--modality", choices=MODALITIES)
    preset: str = option("base", "Size of a new encoder.", "--preset", choices=PRESETS)
    init: Path | None = option(
        None, "Continue from this encoder instead.", "--init", role="input",
        metavar="X.safetensors",
    )  # fmt: skip
    reset_head: bool = option(
        False, "With --init: a new prediction head, for other units.", "--reset-head"
    )
    split: str = option(
        "train", "Split to use where there are splits; all for everything.", "--split"
    )
    mask_probability: float = option(0.8, "Share of frames in mask spans.", "--mask-probability")
    mask_length: int = option(10, "Frames of a mask span.", "--mask-length")
    unmasked_weight: float = option(
        0.0, "Weight of the loss on frames that are not masked.", "--unmasked-weight"
    )
    features_penalty: float = option(
        10.0, "Weight of the mean square of the front-end's features.", "--features-penalty"
    )
    epochs: int | None = option(None, "Passes over the data (50 unless --steps).", "--epochs")
    learning_rate: float = option(5e-4, "Peak learning rate.", "--learning-rate")
    weight_decay: float = option(0.01, "Decoupled weight decay.", "--weight-decay")
    warmup: float = option(0.08, "Share of training spent warming up.", "--warmup")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask_probability <= 1:
            raise UsageError(f"--mask-probability {self.mask_probability}: between 0 and 1")
        if self.mask_length < 1:
            raise UsageError(f"--mask-length {self.mask_length}: it is 1 at least")
