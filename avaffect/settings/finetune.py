"""Settings of `finetune`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Labelled, Modal, argument, option
from avaffect.settings.training import TrainingSettings

MODES = ("fine-tuned", "frozen", "scratch")
HEADS = ("linear",)
SELECTIONS = ("ua", "accuracy", "none")


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Labelled, Modal, TrainingSettings):
    """Trains a head on an encoder, with the encoder (fine-tuned), without (frozen), or both from
    random weights (scratch). Trains on the split train, keeps the epoch that does best on
    development, and leaves test alone; with folds, each in turn.

    Several runs differ in their seed; all are in the checkpoint, and `predict` gives the
    predictions of each."""

    media: tuple[Path, ...] = argument("Labelled media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("classifier.safetensors"), "The classifier.", "-o", "--output", role="output"
    )
    encoder: Path = option(
        MISSING, "The encoder under the head.", "--encoder", role="input", metavar="X.safetensors"
    )
    mode: str = option("fine-tuned", "What happens to the encoder.", "--mode", choices=MODES)
    head: str = option("linear", "The head: mean over time, one dense layer.", "--head",
                       choices=HEADS)  # fmt: skip
    runs: int = option(1, "Runs, with seeds from --seed on.", "--runs")
    folds: int | None = option(
        None, "Runs for each of K folds: fold k tests, k + 1 is development.", "--folds"
    )
    select: str = option(
        "ua", "What the kept epoch is best at on development; none: the last.", "--select",
        choices=SELECTIONS,
    )  # fmt: skip
    epochs: int | None = option(None, "Passes (5, or 50 if frozen, unless --steps).", "--epochs")
    learning_rate: float = option(1e-5, "Peak learning rate of the encoder.", "--learning-rate")
    head_learning_rate: float = option(
        1e-3, "Peak learning rate of the head.", "--head-learning-rate"
    )
    batch_utterances: int = option(32, "Most utterances per step.", "--batch-utterances")
