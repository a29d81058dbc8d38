"""Options that every training command shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.core.launch import launch
from avaffect.settings.base import Computing, Resumable, check_above_zero, option

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("32", "bf16", "16")
TIED_TOGETHER = (
    "the task ties the utterances of a batch together: it takes neither --accumulate nor several "
    "processes; use a larger --batch-utterances"
)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Resumable, Computing):
    """Length of training, batches, optimiser, saving.

    Raises UsageError for values that make no sense, before anything is begun.
    """

    fewest_steps: ClassVar[int] = 1
    epochs: int | None = option(None, "Passes over the data.", "--epochs")
    steps: int | None = option(None, "Optimiser steps, instead of --epochs.", "--steps")
    batch_seconds: float = option(
        80.0,
        "Padded seconds of recordings per batch, over all ranks together.",
        "--batch-seconds",
    )
    batch_utterances: int = option(64, "Most utterances per step.", "--batch-utterances")
    crop_seconds: float = option(
        16.0, "Longer utterances are cropped, at a random place, to this.", "--crop-seconds"
    )
    accumulate: int = option(1, "Micro-batches per optimiser step.", "--accumulate")
    learning_rate: float = option(1e-3, "Peak learning rate.", "--learning-rate")
    schedule: str = option(
        "linear", "How the learning rate decays after warm-up.", "--schedule", choices=SCHEDULES
    )
    warmup: float = option(0.1, "Share of training spent warming up.", "--warmup")
    decay: float = option(
        1.0, "Factor of the learning rate after every --decay-every epochs.", "--decay"
    )
    decay_every: int = option(10, "Epochs between two such steps.", "--decay-every")
    weight_decay: float = option(0.0, "Decoupled weight decay.", "--weight-decay")
    clip: float = option(10.0, "Largest gradient norm; 0 for no clipping.", "--clip")
    precision: str = option(
        "32", "32, or mixed precision with bf16 or 16.", "--precision", choices=PRECISIONS
    )
    save_every: int = option(
        500,
        "Steps between saved states, from which a run resumes; one is saved every minute too.",
        "--save-every",
        role="runtime",
    )
    log_every: int = option(
        10, "Steps between lines of the metrics file.", "--log-every", role="runtime"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.steps is not None:
            raise UsageError("--epochs and --steps exclude each other")
        lowest = {
            "epochs": 1, "steps": self.fewest_steps, "batch_utterances": 1, "accumulate": 1,
            "save_every": 1, "log_every": 1, "seed": 0, "weight_decay": 0, "clip": 0, "warmup": 0,
            "crop_seconds": 0.1, "decay_every": 1,
        }  # fmt: skip
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"--{name.replace('_', '-')} {value}: it is {least} at least")
        # None: it is not known yet.
        known = ["learning_rate"] if self.learning_rate is not None else []
        check_above_zero(self, *known, "batch_seconds")
        if not 0 < self.decay <= 1:
            raise UsageError(f"--decay {self.decay:g}: a factor above 0, 1 at most")
        if self.warmup > 1:
            raise UsageError(f"--warmup {self.warmup}: it is a share of training, 1 at most")


def check_whole_batches(settings: TrainingSettings) -> None:
    """Raises UsageError where batches are to be divided that a task needs whole."""
    if settings.accumulate > 1 or launch().processes > 1:
        raise UsageError(TIED_TOGETHER)
