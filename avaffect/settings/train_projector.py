"""Settings of `train-projector`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Labelled, Modal, argument, option
from avaffect.settings.training import TrainingSettings, epochs

LOSSES = ("multi-similarity", "triplet", "angular", "circle", "cross-entropy")
STATISTICS = ("corpus", "source", "none")


@dataclass(frozen=True, kw_only=True)
class TrainProjectorSettings(Labelled, Modal, TrainingSettings):
    """SAAML's embedding projector (Eqs. 1-4): mean over time, two dense layers, Multi-Similarity
    loss plus weighted cross-entropy. `extract` with the checkpoint then gives the embeddings that
    `retrieve` compares.

    The defaults are the paper's; --base 0.5 --epsilon 0.1 (the loss's own) spread the classes
    further apart, so that a temperature of 0.1 is more selective."""

    media: tuple[Path, ...] = argument("Labelled media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("projector.safetensors"), "The projector.", "-o", "--output", role="output"
    )
    encoder: Path = option(
        MISSING, "The encoder under the projector.", "--encoder", role="input",
        metavar="X.safetensors",
    )  # fmt: skip
    layer: int | None = option(
        None, "Layer of the encoder. Default: its output.", "--layer", at_least=1
    )
    train_encoder: bool = option(
        False, "Train the encoder too; it stays frozen otherwise.", "--train-encoder"
    )
    statistics: str | None = option(
        None,
        "Standardise pooled features by the statistics of each corpus (the default), of the "
        "source, or not at all (with --train-encoder).",
        "--statistics",
        choices=STATISTICS,
    )
    loss: str = option("multi-similarity", "Metric-learning loss.", "--loss", choices=LOSSES)
    alpha: float = option(2.0, "Multi-Similarity: weight of positives.", "--alpha")
    beta: float = option(50.0, "Multi-Similarity: weight of negatives.", "--beta")
    base: float = option(1.0, "Multi-Similarity: margin (the paper's lambda).", "--base")
    epsilon: float = option(0.5, "Multi-Similarity: margin of the mined pairs.", "--epsilon")
    cross_entropy: float = option(0.5, "Weight of the cross-entropy.", "--cross-entropy")
    split: str = option(
        "train", "Split to use where there are splits; all for everything.", "--split"
    )
    epochs: int | None = epochs(50)
    batch_utterances: int = option(
        64, "Utterances per step at most; the loss compares them.", "--batch-utterances", at_least=2
    )
    encoder_learning_rate: float = option(
        1e-5, "Peak learning rate of a trained encoder.", "--encoder-learning-rate", above=0
    )
