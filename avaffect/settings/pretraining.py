"""Settings that the pre-training commands share."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.base import argument, option
from avaffect.settings.training import (
    SCHEDULES,
    TrainingSettings,
    batch_utterances,
    check_not_accumulated,
    clip,
    decay,
    epochs,
    learning_rate,
    warmup,
)

DEFAULT_PRESET = "base"
PRESETS = ("nano", "tiny", "base", "large")
RECURRENT_PRESETS = ("nano", "base")
VISUAL_PRESETS = ("nano", "base")
# What the encoder of faces sees at once, in seconds.
SHORTEST_CLIP_S = 0.2


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(TrainingSettings):
    """From media stores, and perhaps an encoder, to an encoder."""

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    output: Path = option(MISSING, "Checkpoint to write.", "-o", "--output", role="output")
    preset: str | None = option(
        None, "Size of a new encoder. Default: base.", "--preset", choices=PRESETS
    )
    init: Path | None = option(
        None, "Encoder to continue from, instead of a new one, with its heads and teacher where it "
        "was trained by the same objective.", "--init", role="input", metavar="X.safetensors",
    )  # fmt: skip
    reset_head: bool = option(False, "New heads and teacher on --init.", "--reset-head", added=True)
    split: str = option(
        "train", "Split to train on, in stores with splits; all: every utterance.", "--split"
    )
    fraction: float = option(
        1.0, "Share of these utterances to train on, drawn by seed and id: a smaller share is part "
        "of a larger one. The split development stays whole.", "--fraction",
        metavar="SHARE", above=0, at_most=1,
    )  # fmt: skip
    only: Path | None = option(
        None, "Manifest of the utterances to train on; --fraction is a share of these.", "--only",
        role="input",
        metavar="M.jsonl",
    )  # fmt: skip
    epochs: int | None = epochs(50)
    steps: int | None = option(
        None, "Optimiser steps, instead of --epochs. 0: write the initialised encoder.", "--steps",
        at_least=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and self.preset is not None:
            raise UsageError("--preset and --init exclude each other: --init has a size")
        if self.init is None and self.preset is None:
            object.__setattr__(self, "preset", DEFAULT_PRESET)


@dataclass(frozen=True, kw_only=True)
class RecurrentPretrainingSettings(PretrainingSettings):
    """Tasks that train the recurrent encoder of sound."""

    preset: str | None = option(
        None, "Size of a new encoder. Default: base.", "--preset", choices=RECURRENT_PRESETS
    )
    learning_rate: float = learning_rate(1e-4)
    schedule: str = option(
        "constant", "Decay of the learning rate after warm-up.", "--schedule", choices=SCHEDULES
    )
    warmup: float = warmup(0.0)
    decay: float = decay(0.98)
    clip: float = clip(1.0)


@dataclass(frozen=True, kw_only=True)
class VisualPretrainingSettings(PretrainingSettings):
    """Tasks that train the encoder of faces."""

    preset: str | None = option(
        None, "Size of a new encoder. Default: base.", "--preset", choices=VISUAL_PRESETS
    )
    schedule: str = option(
        "cosine", "Decay of the learning rate after warm-up.", "--schedule", choices=SCHEDULES
    )


@dataclass(frozen=True, kw_only=True)
class ViewPretrainingSettings(VisualPretrainingSettings):
    """Tasks that compare views of short clips with what a moving average of the encoder sees."""

    crop_seconds: float = option(
        SHORTEST_CLIP_S, "Length in seconds of the random clip of each utterance.",
        "--crop-seconds", at_least=SHORTEST_CLIP_S,
    )  # fmt: skip
    momentum: float = option(
        0.996,
        "Momentum of the teacher at the start; it rises to 1.",
        "--momentum",
        at_least=0,
        at_most=1,
    )
    learning_rate: float = learning_rate(5e-4)
    batch_utterances: int = batch_utterances(64, least=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_accumulated(self)
