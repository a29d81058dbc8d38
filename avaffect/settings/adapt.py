"""Settings of `adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.adaptation_methods import CDAC, TAPT, TERMS, MethodOptions
from avaffect.settings.base import argument, option


@dataclass(frozen=True, kw_only=True)
class AdaptSettings(MethodOptions):
    """SAAML's affective adaptation (Eq. 7): emotion classification on labelled and retrieved
    utterances, domain-adversarial training through gradient reversal, and the pre-training task of
    the encoder. Reads the manifest of `retrieve` and finds embeddings, recordings, projector,
    encoder and quantiser from it. Epoch e uses the e-th draw of each query. --method chooses what
    it is compared with.

    Prints the path of the checkpoint."""

    examples: ClassVar[str] = """
    avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 | avaffect adapt
    # An ablation: without the domain classifier
    avaffect adapt retrieval.jsonl --without dc --epochs 5 -o no-dc.safetensors
    # The baseline TAPT: further pre-training on the queries alone
    avaffect adapt retrieval.jsonl --method tapt -o tapt.safetensors
    # The printed path, for the next command
    encoder=$(avaffect adapt retrieval.jsonl -o adapted.safetensors) &&
      avaffect finetune U.h5 --encoder "$encoder" -o er.safetensors
    """

    manifest: Path = argument("Manifest written by `retrieve`.", default=Path("-"))
    output: Path = option(
        Path("adapted.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    encoder: Path | None = option(
        None, "Encoder to adapt. Default: the projector's encoder.", "--encoder",
        role="input", metavar="X.safetensors",
    )  # fmt: skip
    layer: int | None = option(
        None, "Layer of the encoder that the emotion and domain classifiers read. Default: its "
        "output.", "--layer", at_least=1, added=True,
    )  # fmt: skip
    emotion_weight: float = option(
        1.0, "Weight of L_EC, emotion classification.", "--emotion-weight", at_least=0
    )
    domain_weight: float = option(
        1.0, "Weight of L_DC, domain classification.", "--domain-weight", at_least=0
    )
    pretraining_weight: float = option(
        1.0, "Weight of L_PT, the pre-training task.", "--pretraining-weight", at_least=0
    )
    modality_dropout: float | None = option(
        None, "Probability that a batch of talking faces lacks audio or video in all terms of the "
        "loss, so that each modality learns emotions by itself. Default: in L_PT alone, as the "
        "encoder was pre-trained.", "--modality-dropout", at_least=0, at_most=1, added=True,
    )  # fmt: skip
    units: tuple[Path, ...] = option(
        (), "Store of units, written by `extract`. Default: computed with the encoder's quantiser. "
        "Repeatable.", "--units", role="input", metavar="UNITS.h5",
    )  # fmt: skip
    epochs: int | None = option(
        None, "Passes over the queries. Default: 50, without --steps.", "--epochs", at_least=1
    )
    batch_utterances: int = option(
        64,
        "Utterances per step at most, retrieved ones included.",
        "--batch-utterances",
        at_least=1,
    )
    learning_rate: float = option(
        1e-5, "Peak learning rate of the encoder.", "--learning-rate", above=0
    )
    head_learning_rate: float = option(
        1e-3, "Peak learning rate of the classifiers.", "--head-learning-rate", above=0
    )

    @property
    def weighs_anything(self) -> bool:
        """Whether a term that is trained has a weight above 0."""
        if self.method == TAPT:
            return True
        weights = dict(
            zip(TERMS, (self.emotion_weight, self.domain_weight, self.pretraining_weight))
        )
        named = (self.pseudo_label_weight, self.clustering_weight, self.consistency_weight)
        # Without a value, those of a method have a default above 0.
        of_method = self.semi_supervised and named[: 3 if self.method == CDAC else 1]
        return any(weights[term] for term in self.terms) or any(
            weight is None or weight > 0 for weight in of_method or ()
        )
