"""Settings of `extract`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import (
    Batched,
    Carried,
    Modal,
    Resumable,
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
class ExtractSettings(Resumable, Modal, Sharded, Carried, Batched):
    """An encoder computes features and their mean over time, a quantiser units, a projector
    embeddings, a front-end its descriptors: mfcc, logmel; with openSMILE, an optional extra,
    compare-lld and egemaps (frames), compare-functionals and egemaps-functionals (one vector).
    Labels and metadata are copied."""

    examples: ClassVar[str] = """
    # Units, features of a layer, embeddings
    avaffect extract A.h5 --model kmeans.safetensors -o units.h5
    avaffect extract A.h5 --model hubert.safetensors --layer 3 --pooled-only \\
      -o layer3.h5
    avaffect extract A.h5 --model projector.safetensors -o msp.h5
    # Films as SAAML reads them: segments of 5 s, pictures in patches
    avaffect preprocess films.jsonl --faces none --size 264 --width 440 \\
      -o films.h5
    avaffect extract films.h5 --model fav.safetensors --patch 88 --segment 5 \\
      -o segments.h5
    # Expression in the wild: each fifth frame, from two seconds on either side
    avaffect extract aff-wild2.h5 --model fav.safetensors \\
      --frames-of expression --every 5 -o frames.h5
    # Films without labels: 30 frames a second, a class for each
    avaffect extract film.h5 --model fav.safetensors --frames-at 30 \\
      -o film-frames.h5
    avaffect predict film-frames.h5 --model expression.safetensors --format csv
    # A front-end, a quarter of the work; all of it by eight processes
    avaffect extract A.h5 --model logmel --shard 0/4 -o logmel-0.h5
    avaffect extract A.h5 --model logmel -j 8 -o logmel.h5
    """

    media: Path = argument("A media store.", metavar="MEDIA.h5")
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    model: str = option(
        MISSING, "Model: a checkpoint, or the name of a front-end.", "--model", role="input",
        metavar="MODEL",
    )  # fmt: skip
    layer: int | None = option(
        None,
        "Layer of an encoder, without its final normalisation. Default: the encoder's output.",
        "--layer",
        at_least=1,
    )
    pooled_only: bool = option(
        False, "Write the mean over time alone, of an encoder or a front-end.", "--pooled-only"
    )
    segment: float | None = option(
        None, "Length in seconds of segments that are encoded one by one, side by side: the "
        "features are then one vector a segment, the mean of its frames.", "--segment",
        metavar="SECONDS", at_least=0.1, added=True,
    )  # fmt: skip
    patch: int | None = option(
        None, "Side in pixels of the patches that pictures are cut into: the features of all "
        "patches stand side by side.", "--patch", metavar="PIXELS", at_least=8, added=True,
    )  # fmt: skip
    frames_of: str | None = option(
        None, "Class over time, such as expression of Aff-Wild2, whose frames become utterances: "
        "one vector for each frame with a known class, the mean of --around.", "--frames-of",
        metavar="LABEL", added=True,
    )  # fmt: skip
    frames_at: float | None = option(
        None, "Rate in Hz of frames that become utterances, one vector each, the mean of --around, "
        "whether or not their class is known: for recordings without labels.", "--frames-at",
        metavar="HZ", at_least=0.1, at_most=240, added=True,
    )  # fmt: skip
    around: float = option(
        2.0, "Seconds on either side of a frame of --frames-of or --frames-at.", "--around",
        metavar="SECONDS", at_least=0, at_most=60, added=True,
    )  # fmt: skip
    every: int = option(
        1, "Every so-many-th frame of --frames-of.", "--every", metavar="N", at_least=1, added=True
    )
    jobs: int | None = option(
        None, "Number of processes; each has its own copy of the model. Default: one.", "-j",
        "--jobs", role="runtime", at_least=1, added=True,
    )  # fmt: skip
    batch_utterances: int = option(
        64, "Utterances per batch at most.", "--batch-utterances", at_least=1
    )
    precision: str = option(
        "32", "Precision: 32 bits, or mixed with bf16 or 16.", "--precision", choices=PRECISIONS
    )

    @property
    def divided(self) -> bool:
        """Whether several workers share the work."""
        return self.backend is not None or (self.jobs or 1) > 1

    @property
    def of_frames(self) -> bool:
        """Whether frames become utterances."""
        return self.frames_of is not None or self.frames_at is not None
