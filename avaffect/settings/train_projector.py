"""Settings of `train-projector`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Labelled, Modal, argument, flags_of, given_of, option
from avaffect.settings.training import TrainingSettings, epochs

LOSSES = (
    "multi-similarity", "triplet", "angular", "circle", "large-margin-softmax", "sphereface",
    "cross-entropy", "none",
)  # fmt: skip
UNTRAINED = "none"
"""The loss that trains nothing: embeddings are the encoder's standardised pooled features."""

# Option -> the losses that it has an effect on.
OF_LOSSES = {
    **dict.fromkeys(("alpha", "beta", "base", "epsilon"), ("multi-similarity",)),
    "cross_entropy": tuple(loss for loss in LOSSES if loss not in ("cross-entropy", UNTRAINED)),
}

# Options that --loss none has no use for.
OF_TRAINING = (
    "epochs", "steps", "train_encoder", "learning_rate", "encoder_learning_rate", "accumulate",
    "schedule", "warmup", "decay", "decay_every", "weight_decay", "clip",
)  # fmt: skip

STATISTICS = ("corpus", "source", "none")


@dataclass(frozen=True, kw_only=True)
class TrainProjectorSettings(Labelled, Modal, TrainingSettings):
    """SAAML's embedding projector (Eqs. 1-4): mean over time, two dense layers, Multi-Similarity
    loss plus weighted cross-entropy. `extract` with the checkpoint then computes the embeddings
    that `retrieve` compares.

    The defaults are the paper's; --base 0.5 --epsilon 0.1 (the loss's own) separate the classes
    further, so that a temperature of 0.1 is more selective.

    In stores with splits, the embeddings of the development split are scored; `compare` reads the
    scores of several projectors."""

    examples: ClassVar[str] = """
    avaffect train-projector A.h5 --encoder hubert.safetensors \\
      -o projector.safetensors
    # More selective, four classes
    avaffect train-projector A.h5 --encoder hubert.safetensors --base 0.5 \\
      --epsilon 0.1 --classes anger,happiness,neutral,sadness \\
      -o selective.safetensors
    # Losses compared by the embeddings of held-out speakers
    avaffect train-projector A.h5 --encoder hubert.safetensors --loss triplet \\
      -o triplet.safetensors
    avaffect compare projector.safetensors triplet.safetensors \\
      --score accuracy --score davies_bouldin
    """

    media: tuple[Path, ...] = argument("Labelled media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("projector.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    encoder: Path = option(
        MISSING, "Encoder under the projector.", "--encoder", role="input",
        metavar="X.safetensors",
    )  # fmt: skip
    layer: int | None = option(
        None, "Layer of the encoder. Default: its output.", "--layer", at_least=1
    )
    train_encoder: bool = option(
        False, "Train the encoder too; it is frozen otherwise.", "--train-encoder"
    )
    statistics: str | None = option(
        None,
        "Statistics that standardise pooled features: of each corpus, of the source, or none. "
        "Default: corpus; none with --train-encoder.",
        "--statistics",
        choices=STATISTICS,
    )
    loss: str = option(
        "multi-similarity", "Metric-learning loss; cross-entropy: classification alone; none: no "
        "projector, the encoder's standardised features are the embeddings.",
        "--loss", choices=LOSSES,
    )  # fmt: skip
    alpha: float = option(2.0, "Weight of positives (Multi-Similarity).", "--alpha", above=0)
    beta: float = option(50.0, "Weight of negatives (Multi-Similarity).", "--beta", above=0)
    base: float = option(1.0, "Margin, the paper's lambda (Multi-Similarity).", "--base")
    epsilon: float = option(0.5, "Margin of the mined pairs (Multi-Similarity).", "--epsilon")
    cross_entropy: float = option(
        0.5, "Weight of the cross-entropy.", "--cross-entropy", at_least=0
    )
    split: str = option(
        "train", "Split to train on, in stores with splits; all: every utterance.", "--split"
    )
    epochs: int | None = epochs(50)
    batch_utterances: int = option(
        64, "Utterances per step at most; the loss compares them.", "--batch-utterances", at_least=2
    )
    encoder_learning_rate: float = option(
        1e-5, "Peak learning rate of a trained encoder.", "--encoder-learning-rate", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for item in fields(self):
            losses = OF_LOSSES.get(item.name, LOSSES)
            if getattr(self, item.name) != item.default and self.loss not in losses:
                raise UsageError(
                    f"{flags_of(item)[-1]} goes with --loss {' or '.join(losses)}, not with "
                    f"--loss {self.loss}: leave one of them out"
                )
        if self.loss != UNTRAINED:
            if not self.train_encoder and given_of(self, ["encoder_learning_rate"]):
                raise UsageError(
                    f"--encoder-learning-rate {self.encoder_learning_rate:g} goes with "
                    "--train-encoder: the encoder is frozen otherwise"
                )
            return
        unused = given_of(self, OF_TRAINING)
        if unused:
            raise UsageError(f"--loss none trains nothing: leave {', '.join(unused)} out")
