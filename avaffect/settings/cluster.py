"""Settings of `cluster`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Batched, Resumable, argument, option


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Resumable, Batched):
    """Mini-batch k-means of frames. HuBERT's first iteration clusters MFCC; later ones cluster a
    layer of the model before. `extract` with the checkpoint then gives units.

    Where the store has splits, frames of the training split alone are used."""

    media: tuple[Path, ...] = argument("Media stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("kmeans.safetensors"), "The quantiser.", "-o", "--output", role="output"
    )
    features: str | None = option(
        None,
        "What to cluster: mfcc unless --model is given.",
        "--features",
        metavar="mfcc|logmel|NAME",
    )
    model: Path | None = option(
        None, "Encoder whose frames to cluster.", "--model", role="input", metavar="X.safetensors"
    )
    layer: int | None = option(None, "Layer of --model. Default: the last.", "--layer", at_least=1)
    clusters: int = option(100, "Number of clusters.", "-k", "--clusters")
    frames: int = option(
        5_000_000, "Most frames to fit on, of utterances drawn at random.", "--frames"
    )
    initialisations: int = option(
        20, "k-means++ initialisations; the best is kept.", "--initialisations"
    )
    split: str = option(
        "train", "Split to use where there are splits; all for everything.", "--split"
    )
