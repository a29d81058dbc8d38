"""Settings that the pre-training commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.training import SCHEDULES, TrainingSettings, check_whole_batches

DEFAULT_PRESET = "base"
PRESETS = ("nano", "tiny", "base", "large")
RECURRENT_PRESETS = ("nano", "base")
VISUAL_PRESETS = ("nano", "base")
# What the encoder of faces sees at once, in seconds.
SHORTEST_CLIP_S = 0.2


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(TrainingSettings):
    """From media stores, and perhaps an encoder, to an encoder."""

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
    fraction: float = option(
        1.0, "Share of these utterances to train on, drawn by seed and id.", "--fraction",
        metavar="SHARE",
    )  # fmt: skip
    only: Path | None = option(
        None, "Train on the utterances of this manifest alone.", "--only", role="input",
        metavar="M.jsonl",
    )  # fmt: skip
    epochs: int | None = option(None, "Passes over the data (50 unless --steps).", "--epochs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and self.preset is not None:
            raise UsageError("--preset is for a new encoder: --init has its size")
        if self.init is None and self.preset is None:
            object.__setattr__(self, "preset", DEFAULT_PRESET)


@dataclass(frozen=True, kw_only=True)
class RecurrentPretrainingSettings(PretrainingSettings):
    """Tasks that train the recurrent encoder of sound."""

    preset: str | None = option(
        None, "Size of a new encoder; base by default.", "--preset", choices=RECURRENT_PRESETS
    )
    learning_rate: float = option(1e-4, "Peak learning rate.", "--learning-rate")
    schedule: str = option(
        "constant", "How the learning rate decays after warm-up.", "--schedule", choices=SCHEDULES
    )
    warmup: float = option(0.0, "Share of training spent warming up.", "--warmup")
    decay: float = option(
        0.98, "Factor of the learning rate after every --decay-every epochs.", "--decay"
    )
    clip: float = option(1.0, "Largest gradient norm; 0 for no clipping.", "--clip")


@dataclass(frozen=True, kw_only=True)
class VisualPretrainingSettings(PretrainingSettings):
    """Tasks that train the encoder of faces."""

    preset: str | None = option(
        None, "Size of a new encoder; base by default.", "--preset", choices=VISUAL_PRESETS
    )
    schedule: str = option(
        "cosine", "How the learning rate decays after warm-up.", "--schedule", choices=SCHEDULES
    )


@dataclass(frozen=True, kw_only=True)
class ViewPretrainingSettings(VisualPretrainingSettings):
    """Tasks that compare views of short clips with what a moving average of the encoder sees."""

    crop_seconds: float = option(
        SHORTEST_CLIP_S, "Length of the clips, each at a random place of its utterance.",
        "--crop-seconds",
    )  # fmt: skip
    momentum: float = option(
        0.996, "Of the teacher, as training begins; 1 at the end.", "--momentum"
    )
    learning_rate: float = option(5e-4, "Peak learning rate.", "--learning-rate")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole_batches(self)
        if self.crop_seconds < SHORTEST_CLIP_S:
            raise UsageError(
                f"--crop-seconds {self.crop_seconds:g}: {SHORTEST_CLIP_S} at least, five pictures"
            )
        if self.batch_utterances < 2:
            raise UsageError("--batch-utterances: 2 at least, for clips to be compared")
        if not 0 <= self.momentum <= 1:
            raise UsageError(f"--momentum {self.momentum:g}: between 0 and 1")
