"""Settings of `adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import argument, option
from avaffect.settings.training import TrainingSettings

TERMS = ("ec", "dc", "pt")


@dataclass(frozen=True, kw_only=True)
class AdaptSettings(TrainingSettings):
    """SAAML's affective adaptation (Eq. 7): emotion classification on labelled and retrieved
    utterances, domain-adversarial training through gradient reversal, and masked prediction of
    units. Reads the manifest of `retrieve` and finds embeddings, recordings, projector, encoder
    and quantiser from it. Epoch e uses draw e of each query.

    Prints the path of the checkpoint."""

    manifest: Path = argument("The manifest of `retrieve`.", default=Path("-"))
    output: Path = option(
        Path("adapted.safetensors"), "The adapted encoder.", "-o", "--output", role="output"
    )
    encoder: Path | None = option(
        None, "Adapt this encoder instead of the one under the projector.", "--encoder",
        role="input", metavar="X.safetensors",
    )  # fmt: skip
    without: tuple[str, ...] = option(
        (), "Leave out a term: ec, dc or pt. May be repeated.", "--without", choices=TERMS
    )
    emotion_weight: float = option(1.0, "Weight of L_EC.", "--emotion-weight")
    domain_weight: float = option(1.0, "Weight of L_DC.", "--domain-weight")
    pretraining_weight: float = option(1.0, "Weight of L_PT.", "--pretraining-weight")
    units: tuple[Path, ...] = option(
        (), "Units made already, by `extract`; computed otherwise.", "--units", role="input",
        metavar="UNITS.h5",
    )  # fmt: skip
    epochs: int | None = option(None, "Passes over the queries (50 unless --steps).", "--epochs")
    batch_utterances: int = option(
        64, "Most utterances per step, retrieved ones counted.", "--batch-utterances"
    )
    learning_rate: float = option(1e-5, "Peak learning rate of the encoder.", "--learning-rate")
    head_learning_rate: float = option(
        1e-3, "Peak learning rate of the classifiers.", "--head-learning-rate"
    )
