"""Options that every training command shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from avaffect.core.errors import UsageError
from avaffect.core.launch import launch
from avaffect.settings.base import Computing, Resumable, given_of, option

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("32", "bf16", "16")
TIED_TOGETHER = (
    "the task ties the utterances of a batch together: it takes no {}; use a larger "
    "--batch-utterances"
)
ACCUMULATED, DIVIDED = "--accumulate", "several processes"


def learning_rate(default: float) -> Any:
    """Options that most training commands have, each with a default of its own."""
    return option(default, "Peak learning rate.", "--learning-rate", above=0)


def epochs(default: int) -> Any:
    return option(
        None, f"Passes over the data. Default: {default}, without --steps.", "--epochs", at_least=1
    )


def batch_seconds(default: float) -> Any:
    return option(
        default, "Seconds per batch at most, padding included, over all processes.",
        "--batch-seconds", above=0,
    )  # fmt: skip


def batch_utterances(default: int, least: int = 1) -> Any:
    return option(default, "Utterances per step at most.", "--batch-utterances", at_least=least)


def warmup(default: float) -> Any:
    return option(default, "Warm-up, as a share of training.", "--warmup", at_least=0, at_most=1)


def decay(default: float) -> Any:
    return option(
        default, "Factor of the learning rate after every --decay-every epochs.", "--decay",
        above=0, at_most=1,
    )  # fmt: skip


def weight_decay(default: float) -> Any:
    return option(default, "Decoupled weight decay.", "--weight-decay", at_least=0)


def clip(default: float) -> Any:
    return option(default, "Maximum gradient norm; 0: no clipping.", "--clip", at_least=0)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Resumable, Computing):
    """Length of training, batches, optimiser, saving."""

    ranks: ClassVar[bool] = True

    epochs: int | None = option(None, "Passes over the data.", "--epochs", at_least=1)
    steps: int | None = option(None, "Optimiser steps, instead of --epochs.", "--steps", at_least=1)
    batch_seconds: float = batch_seconds(80.0)
    batch_utterances: int = batch_utterances(64)
    crop_seconds: float = option(
        16.0, "Length in seconds of the random crop of longer utterances.", "--crop-seconds",
        at_least=0.1,
    )  # fmt: skip
    accumulate: int = option(1, "Micro-batches per optimiser step.", "--accumulate", at_least=1)
    learning_rate: float | None = learning_rate(1e-3)
    schedule: str = option(
        "linear", "Decay of the learning rate after warm-up.", "--schedule", choices=SCHEDULES
    )
    warmup: float = warmup(0.1)
    decay: float = decay(1.0)
    decay_every: int = option(
        10, "Epochs between two --decay factors.", "--decay-every", at_least=1
    )
    weight_decay: float = weight_decay(0.0)
    clip: float = clip(10.0)
    precision: str = option(
        "32", "Precision: 32 bits, or mixed with bf16 or 16.", "--precision", choices=PRECISIONS
    )
    save_every: int = option(
        500,
        "Steps between saved states, from which a run resumes; a state is also saved every minute.",
        "--save-every",
        role="runtime",
        at_least=1,
    )
    log_every: int = option(
        10, "Steps between lines of the metrics file.", "--log-every", role="runtime", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.steps is not None:
            raise UsageError("--epochs and --steps exclude each other")
        if self.decay == 1 and given_of(self, ["decay_every"]):
            raise UsageError(
                f"--decay-every {self.decay_every} has no effect without --decay, the factor"
            )


def check_not_accumulated(settings: TrainingSettings) -> None:
    """Raises UsageError where batches are to be divided among micro-batches, for a task that needs
    them whole."""
    if settings.accumulate > 1:
        raise UsageError(TIED_TOGETHER.format(ACCUMULATED))


def check_whole_batches(settings: TrainingSettings) -> None:
    """Raises UsageError where batches are to be divided, among micro-batches or processes."""
    check_not_accumulated(settings)
    if launch().processes > 1:
        raise UsageError(TIED_TOGETHER.format(DIVIDED))
