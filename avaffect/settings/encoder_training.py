"""The encoder under the head of `finetune`, and its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.settings.augmentation import AugmentationOptions
from avaffect.settings.base import Modal, option

LORA = "lora"
FINE_TUNED = "fine-tuned"
MODES = (FINE_TUNED, "frozen", LORA, "scratch")
# Linear layers that --mode lora adapts, side by side in each module of attention.
PROJECTIONS = ("q_proj", "v_proj")
# The default rank, and what alpha is by default in multiples of the rank.
RANK, ALPHA = 8, 2.0


@dataclass(frozen=True, kw_only=True)
class EncoderTraining(Modal, AugmentationOptions):
    """Raises UsageError for options that need an encoder, or one that is trained."""

    encoder: Path | None = option(
        None, "Encoder under the head. Default: none, the features in the stores.", "--encoder",
        role="input", metavar="X.safetensors",
    )  # fmt: skip
    layer: int | None = option(
        None, "Layer of the encoder that the head reads, without its final normalisation. Default: "
        "the encoder's output.", "--layer", at_least=1, added=True,
    )  # fmt: skip
    mode: str | None = option(
        None, "Training of the encoder. Default: fine-tuned with --encoder; frozen with svm.",
        "--mode", choices=MODES,
    )  # fmt: skip
    rank: int | None = option(
        None, f"Rank of the adapters of --mode lora. Default: {RANK}.", "--rank", at_least=1,
        added=True,
    )  # fmt: skip
    lora_alpha: float | None = option(
        None, "Factor alpha of --mode lora, which scales its adapters by alpha / rank. Default: "
        f"{ALPHA:g} times the rank.", "--lora-alpha", above=0, added=True,
    )  # fmt: skip
    freeze: tuple[str, ...] = option(
        (), "Part of the encoder to freeze: stem, the first convolution of a visual or audiovisual "
        "encoder. Repeatable.", "--freeze", metavar="PART",
    )  # fmt: skip
    learning_rate: float | None = option(
        None, "Peak learning rate of the encoder. Default: 1e-5 for base encoders (scratch 1e-4), "
        "higher for smaller ones; lora 1e-3.", "--learning-rate", above=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder is None and self.mode not in (None, "frozen"):
            raise UsageError(
                f"--mode {self.mode} needs an --encoder: features that are given stay as they are"
            )
        if self.encoder is None and self.modality is not None:
            raise UsageError(
                f"--modality {self.modality} needs an --encoder: features that are given have none"
            )
        if self.layer is not None and self.encoder is None:
            raise UsageError(
                f"--layer {self.layer} needs an --encoder: features that are given have no layers"
            )
        for name in ("rank", "lora_alpha"):
            if getattr(self, name) is not None and self.mode != LORA:
                raise UsageError(f"--{name.replace('_', '-')} goes with --mode lora")
        if self.freeze and (self.encoder is None or self.mode == "frozen"):
            raise UsageError(
                "--freeze keeps a part of an --encoder that is trained: without one, or with "
                "--mode frozen, nothing of it changes anyway"
            )
        if self.encoder is None and self.of_sound:
            raise UsageError(
                f"--augment {self.of_sound[0]} changes sound, and without --encoder the input is "
                "features alone"
            )
