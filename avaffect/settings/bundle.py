"""Settings of `bundle`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class BundleSettings(Common):
    """Writes a classifier that needs no other file: with the encoder beneath its heads, how
    recordings are preprocessed for it (of YuNet also the detector's weights), what it was trained
    on, and its scores. `predict` applies it to recordings and stores, wherever it lies. finetune
    --bundle writes one at once."""

    examples: ClassVar[str] = """
    avaffect bundle er.safetensors -o emotion.safetensors
    # With the scores of held-out speakers
    avaffect eval-class predictions.jsonl -o test.json
    avaffect bundle er.safetensors --scores test.json -o emotion.safetensors
    """

    classifier: Path = argument("Checkpoint written by `finetune`.", metavar="ER.safetensors")
    output: Path = option(MISSING, "Checkpoint to write.", "-o", "--output", role="output")
    scores: Path | None = option(
        None, "Scores of held-out utterances to record: a report of eval-class or eval-ccc, or "
        "predictions.", "--scores", role="input", metavar="R.json",
    )  # fmt: skip
