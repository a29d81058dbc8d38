"""Settings of `cluster`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Batched, Resumable, argument, option


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Resumable, Batched):
    """Mini-batch k-means of frames. HuBERT's first iteration clusters MFCCs, later ones a layer of
    the previous model. `extract` with the checkpoint then computes units.

    In stores with splits, frames of the training split are used."""

    examples: ClassVar[str] = """
    # First iteration
    avaffect cluster A.h5 B.h5 --features mfcc -k 100 -o kmeans1.safetensors
    # Second iteration
    avaffect cluster A.h5 B.h5 --model hubert1.safetensors --layer 3 -k 500 \\
      -o kmeans2.safetensors
    """

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("kmeans.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    features: str | None = option(
        None,
        "Front-end whose features are clustered. Default: mfcc, without --model.",
        "--features",
        metavar="mfcc|logmel|NAME",
    )
    model: Path | None = option(
        None,
        "Encoder whose frames are clustered.",
        "--model",
        role="input",
        metavar="X.safetensors",
    )
    layer: int | None = option(None, "Layer of --model. Default: the last.", "--layer", at_least=1)
    clusters: int = option(100, "Number of clusters.", "-k", "--clusters", at_least=2)
    frames: int = option(
        5_000_000,
        "Frames to fit on at most, of utterances drawn at random.",
        "--frames",
        at_least=1,
    )
    initialisations: int = option(
        20,
        "Number of k-means++ initialisations, of which the best is kept.",
        "--initialisations",
        at_least=1,
    )
    split: str = option(
        "train", "Split to fit on, in stores with splits; all: every utterance.", "--split"
    )
