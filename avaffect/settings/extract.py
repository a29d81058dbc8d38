"""Settings of `extract`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import (
    Batched,
    Modal,
    Sharded,
    argument,
    option,
)
from avaffect.settings.training import PRECISIONS

WITHOUT_OPENSMILE = (
    "this front-end needs openSMILE: in the checkout of avaffect, python -m pip install -c "
    "constraints.txt -e '.[opensmile]' (for research; commercial use needs audEERING's licence)"
)


@dataclass(frozen=True, kw_only=True)
class ExtractSettings(Modal, Sharded, Batched):
    """An encoder gives features and their mean over time, a quantiser units, a projector
    embeddings, a named front-end its descriptors: mfcc, logmel; and of openSMILE, an optional
    extra, compare-lld and egemaps (frames), compare-functionals and egemaps-functionals (a vector).
    Labels and all that is known of the utterances go along."""

    media: Path = argument("A media store.", metavar="MEDIA.h5")
    output: Path = option(MISSING, "The store to write.", "-o", "--output", role="output")
    model: str = option(
        MISSING, "A checkpoint, or the name of a front-end.", "--model", role="input",
        metavar="MODEL",
    )  # fmt: skip
    layer: int | None = option(
        None,
        "Layer of an encoder, without its final normalisation. Default: the encoder's output.",
        "--layer",
        at_least=1,
    )
    pooled_only: bool = option(
        False, "Of an encoder or front-end, keep the mean over time alone.", "--pooled-only"
    )
    batch_utterances: int = option(
        64, "Utterances per batch at most.", "--batch-utterances", at_least=1
    )
    precision: str = option(
        "32", "32, or mixed precision with bf16 or 16.", "--precision", choices=PRECISIONS
    )
