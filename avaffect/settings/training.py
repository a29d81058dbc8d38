"""Options that every training command shares."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.settings.base import Computing, option

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("32", "bf16", "16")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Computing):
    """Length of training, batches, optimiser, saving."""

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
    weight_decay: float = option(0.0, "Decoupled weight decay.", "--weight-decay")
    clip: float = option(10.0, "Largest gradient norm; 0 for no clipping.", "--clip")
    precision: str = option(
        "32", "32, or mixed precision with bf16 or 16.", "--precision", choices=PRECISIONS
    )
    save_every: int = option(
        500, "Steps between saved states, from which a run resumes.", "--save-every", role="runtime"
    )
    log_every: int = option(
        10, "Steps between lines of the metrics file.", "--log-every", role="runtime"
    )
    fresh: bool = option(False, "Discard the saved state of an earlier run.", "--fresh",
                         role="runtime")  # fmt: skip
