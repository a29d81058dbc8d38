"""Settings of `merge-lora`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class MergeLoraSettings(Common):
    """Folds the low-rank adapters of one run of a classifier (finetune --mode lora) into the
    weights of their encoder, or takes the encoder of a run out of a fine-tuned classifier. The
    result is an encoder as any other, without the head."""

    examples: ClassVar[str] = """
    avaffect merge-lora er.safetensors -o emotional.safetensors
    # Features of a fine-tuned encoder
    avaffect merge-lora tuned.safetensors -o after.safetensors
    avaffect extract A.h5 --model after.safetensors -o features.h5
    # The second of several runs, the one that tests fold 3
    avaffect merge-lora folds.safetensors --run 1 --fold 3 \\
      -o emotional.safetensors
    """

    classifier: Path = argument(
        "Classifier with adapters, or a fine-tuned one.", metavar="CLASSIFIER.safetensors"
    )
    output: Path = option(
        Path("merged.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    run: int | None = option(
        None, "Run whose encoder is written. Default: the only one.", "--run", at_least=0
    )
    fold: int | None = option(
        None, "Fold that the run tests, of a classifier of folds.", "--fold", at_least=0
    )
