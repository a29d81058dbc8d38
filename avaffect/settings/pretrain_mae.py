"""Settings of `pretrain-mae`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.pretraining import PretrainingSettings
from avaffect.settings.training import (
    SCHEDULES,
    batch_seconds,
    batch_utterances,
    decay,
    epochs,
    learning_rate,
    warmup,
    weight_decay,
)

MAE_PRESETS = ("nano", "tiny", "base")
POSITIONS = ("trained", "fixed")
TARGETS = ("values", "normalised")
VIDEO_ORDERS = ("encoder", "released")
EPOCHS = 25
PICTURES = 8


@dataclass(frozen=True, kw_only=True)
class PretrainMaeSettings(PretrainingSettings):
    """Contrastive audiovisual masked autoencoding: Social-MAE (Bohy et al. 2024), and with one
    picture CAV-MAE (Gong et al. 2023). From a quarter of the patches of spectrogram and faces, an
    encoder and a decoder reconstruct the others; audio and video of the same utterance are
    contrasted with those of others."""

    examples: ClassVar[str] = """
    avaffect pretrain-mae vox.h5 --preview reconstruction.png -o mae.safetensors
    # From published weights of CAV-MAE, which read one picture
    avaffect import cav-mae-scale++.pth -o cav-mae.safetensors
    avaffect pretrain-mae vox.h5 --init cav-mae.safetensors --pictures 8 \\
      -o social-mae.safetensors
    """

    output: Path = option(
        Path("mae.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    preset: str | None = option(
        None, "Size of a new encoder. Default: base.", "--preset", choices=MAE_PRESETS
    )
    pictures: int | None = option(
        None, "Pictures that are read of an utterance: 1, or an even number. An encoder of --init "
        "with another number is extended. Default: 8, or as in --init.",
        "--pictures", at_least=1,
    )  # fmt: skip
    seconds: float | None = option(
        None, "Length in seconds of what a new encoder reads of an utterance, sound and pictures, "
        "rounded up to patches of 0.16 s. Default: 10.24, nano 2.56.",
        "--seconds", above=0, at_most=3600,
    )  # fmt: skip
    positions: str | None = option(
        None, "Positions of patches in a new encoder. Default: trained.", "--positions",
        choices=POSITIONS,
    )  # fmt: skip
    inflate: bool = option(
        False, "Repetition over time of the weights for one picture of --init, rather than new "
        "ones.", "--inflate",
    )  # fmt: skip
    mask_audio: float = option(
        0.75, "Share of the audio patches that is hidden.", "--mask-audio", above=0, below=1
    )
    mask_video: float = option(
        0.75, "Share of the video patches that is hidden.", "--mask-video", above=0, below=1
    )
    contrast_weight: float = option(
        0.01, "Weight of the contrast; the reconstructions of audio and video have 1.",
        "--contrast-weight", at_least=0,
    )  # fmt: skip
    temperature: float = option(0.05, "Temperature of the contrast.", "--temperature", above=0)
    both_ways: bool = option(
        False, "Contrast of each audio with all videos, too, besides that of each video with all "
        "audios.", "--both-ways",
    )  # fmt: skip
    targets: str | None = option(
        None, "Target of a patch: its values, or these with mean 0 and variance 1. Default: "
        "values, or as in --init.", "--targets", choices=TARGETS,
    )  # fmt: skip
    video_order: str | None = option(
        None, "Order of the video targets: the encoder's, or that of Social-MAE's released code. "
        "Default: encoder, or as in --init.", "--video-order", choices=VIDEO_ORDERS,
    )  # fmt: skip
    recompute: bool = option(
        False, "Layers computed again in the backward pass: less memory, more time.",
        "--recompute", role="runtime",
    )  # fmt: skip
    preview: Path | None = option(
        None, "Picture of the result: faces and spectrograms, masked and reconstructed.",
        "--preview", role="runtime", metavar="P.png",
    )  # fmt: skip
    epochs: int | None = epochs(EPOCHS)
    batch_seconds: float = batch_seconds(320.0)
    batch_utterances: int = batch_utterances(32)
    learning_rate: float = learning_rate(1e-4)
    schedule: str = option(
        "constant", "Decay of the learning rate after warm-up.", "--schedule", choices=SCHEDULES
    )
    warmup: float = warmup(0.0)
    decay: float = decay(0.5)
    decay_every: int = option(5, "Epochs between two --decay factors.", "--decay-every", at_least=1)
    weight_decay: float = weight_decay(5e-7)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", EPOCHS)
        if self.pictures is not None and self.pictures > 1 and self.pictures % 2:
            raise UsageError(f"--pictures {self.pictures}: 1, or an even number")
        if self.init is not None and self.positions is not None:
            raise UsageError("--positions and --init exclude each other: --init has positions")
        if self.init is not None and self.seconds is not None:
            raise UsageError("--seconds and --init exclude each other: --init has a length")
        if self.inflate and (self.init is None or self.pictures in (None, 1)):
            raise UsageError("--inflate needs --init, and --pictures above 1")
        if self.accumulate > 1 and self.contrast_weight > 0:
            raise UsageError(
                "--accumulate: the contrast ties the utterances of a batch together; several "
                "processes share a batch, and --contrast-weight 0 leaves the contrast out"
            )
        if self.preview is not None and self.steps == 0:
            raise UsageError("--preview and --steps 0 exclude each other: nothing was trained")
        if self.preview is not None and self.preview.suffix.lower() != ".png":
            raise UsageError(f"--preview {self.preview}: the picture is a .png file")
