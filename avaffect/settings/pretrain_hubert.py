"""Settings of `pretrain-hubert`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import PretrainingSettings

MODALITIES = ("audio", "av")
MASKINGS = ("feature", "input")


@dataclass(frozen=True, kw_only=True)
class PretrainHubertSettings(PretrainingSettings):
    """Masked prediction of hidden units (HuBERT, AV-HuBERT; SAAML Eq. 6). One command is one
    iteration: the first on units of MFCC, the next on units of a layer of the model before.

    With --steps 0 the encoder is written as it was initialised: the control that every table of
    trained encoders needs."""

    output: Path = option(
        Path("hubert.safetensors"), "The encoder.", "-o", "--output", role="output"
    )
    units: tuple[Path, ...] = option(
        MISSING, "Stores of units, by `extract` with a quantiser.", "--units", role="input",
        metavar="UNITS.h5",
    )  # fmt: skip
    modality: str | None = option(
        None, "What a new encoder reads: audio (HuBERT, the default) or av (AV-HuBERT).",
        "--modality", choices=MODALITIES,
    )  # fmt: skip
    reset_head: bool = option(
        False, "With --init: a new prediction head, for other units.", "--reset-head"
    )
    masking: str | None = option(
        None,
        "What is hidden of an AV-HuBERT: fused features (the default; SAAML, and AV-HuBERT's first "
        "iterations) or sound and pictures apart (input; its last).",
        "--masking",
        choices=MASKINGS,
    )
    mask_probability: float = option(0.8, "Share of frames in mask spans.", "--mask-probability")
    mask_length: int = option(10, "Frames of a mask span.", "--mask-length")
    video_mask_probability: float = option(
        0.3, "Of pictures, with --masking input.", "--video-mask-probability"
    )
    video_mask_length: int = option(5, "Of pictures, with --masking input.", "--video-mask-length")
    modality_dropout: float | None = option(
        None,
        "How often one modality of a batch is missing: by default 0 on units of MFCC, 0.5 on units "
        "of a model, as AV-HuBERT did.",
        "--modality-dropout",
    )
    audio_dropout: float = option(
        0.5, "How often it is then the sound that is missing.", "--audio-dropout"
    )
    unmasked_weight: float = option(
        0.0, "Weight of the loss on frames that are not masked.", "--unmasked-weight"
    )
    features_penalty: float = option(
        10.0, "Weight of the mean square of the front-end's features.", "--features-penalty"
    )
    learning_rate: float = option(5e-4, "Peak learning rate.", "--learning-rate")
    weight_decay: float = option(0.01, "Decoupled weight decay.", "--weight-decay")
    warmup: float = option(0.08, "Share of training spent warming up.", "--warmup")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is None:
            object.__setattr__(self, "modality", self.modality or MODALITIES[0])
            if self.modality == "av":
                object.__setattr__(self, "masking", self.masking or MASKINGS[0])
        for name in ("mask_probability", "video_mask_probability"):
            if not 0 < getattr(self, name) <= 1:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name)}: above 0, and 1 at most")
        for name in ("modality_dropout", "audio_dropout"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name)}: between 0 and 1")
        for name in ("mask_length", "video_mask_length"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {getattr(self, name)}: it is 1 at least")
