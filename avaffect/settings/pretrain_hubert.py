"""Settings of `pretrain-hubert`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import option
from avaffect.settings.pretraining import PretrainingSettings
from avaffect.settings.training import learning_rate, warmup, weight_decay

MODALITIES = ("audio", "av")
MASKINGS = ("feature", "input")


@dataclass(frozen=True, kw_only=True)
class PretrainHubertSettings(PretrainingSettings):
    """Masked prediction of hidden units (HuBERT, AV-HuBERT; SAAML Eq. 6). One command is one
    iteration: the first on units of MFCCs, the next on units of a layer of the previous model."""

    examples: ClassVar[str] = """
    # Quantiser, units, encoder
    avaffect cluster A.h5 -k 50 -o kmeans.safetensors
    avaffect extract A.h5 --model kmeans.safetensors -o units.h5
    avaffect pretrain-hubert A.h5 --units units.h5 --modality av \\
      -o fav1.safetensors
    # A small audio encoder
    avaffect pretrain-hubert A.h5 --units units.h5 --preset nano --epochs 10 \\
      -o hubert.safetensors
    """

    output: Path = option(
        Path("hubert.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    units: tuple[Path, ...] = option(
        MISSING, "Store of units, written by `extract` with a quantiser. Repeatable.", "--units",
        role="input",
        metavar="UNITS.h5",
    )  # fmt: skip
    modality: str | None = option(
        None, "Modality of a new encoder: audio (HuBERT) or av (AV-HuBERT). Default: audio.",
        "--modality", choices=MODALITIES,
    )  # fmt: skip
    reset_head: bool = option(
        False, "New prediction head on --init, for other units.", "--reset-head"
    )
    masking: str | None = option(
        None,
        "Masking of AV-HuBERT: of the fused features (feature; SAAML, first iterations of "
        "AV-HuBERT) or of audio and video separately (input; its last). Default: feature.",
        "--masking",
        choices=MASKINGS,
    )
    mask_probability: float = option(
        0.8, "Share of frames in mask spans.", "--mask-probability", above=0, at_most=1
    )
    mask_length: int = option(10, "Length of a mask span in frames.", "--mask-length", at_least=1)
    video_mask_probability: float = option(
        0.3,
        "Share of video frames in mask spans, with --masking input.",
        "--video-mask-probability",
        above=0,
        at_most=1,
    )
    video_mask_length: int = option(
        5,
        "Length of a mask span in video frames, with --masking input.",
        "--video-mask-length",
        at_least=1,
    )
    modality_dropout: float | None = option(
        None,
        "Probability that a batch lacks one modality. Default: 0 on units of MFCCs, 0.5 on units "
        "of a model, as in AV-HuBERT.",
        "--modality-dropout",
        at_least=0,
        at_most=1,
    )
    audio_dropout: float = option(
        0.5,
        "Probability that the missing modality is audio.",
        "--audio-dropout",
        at_least=0,
        at_most=1,
    )
    unmasked_weight: float = option(
        0.0, "Weight of the loss on unmasked frames.", "--unmasked-weight", at_least=0
    )
    features_penalty: float | None = option(
        None,
        "Weight of the mean square of the front-end's features. Default: 10; Whisper 0.",
        "--features-penalty",
        at_least=0,
    )
    learning_rate: float = learning_rate(5e-4)
    weight_decay: float = weight_decay(0.01)
    warmup: float = warmup(0.08)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is None:
            object.__setattr__(self, "modality", self.modality or MODALITIES[0])
            if self.modality == "av":
                object.__setattr__(self, "masking", self.masking or MASKINGS[0])
