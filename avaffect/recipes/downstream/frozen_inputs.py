"""What a head on frozen inputs reads or needs to know once: their means and their statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Encoder
from avaffect.models.heads.labels import LabelHead
from avaffect.models.inputs import Inputs
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.input_streams import usable_rows
from avaffect.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def pooled_means(
    inputs: Inputs, dataset: Dataset, batch_seconds: float, run: Run, fabric: Fabric,
    progress: Progress,
) -> np.ndarray:  # fmt: skip
    """(N, D) means over time of all inputs, one after the other; NaN in inputs that an utterance
    lacks, where there are several."""
    parts = []
    for name, encoder in inputs.encoders.items():
        extractor = extraction.wrap_encoder(encoder, None, {}, encoder.streams)
        spool = _named("features", name, inputs.encoders)
        kept = run.spool(spool, progress.warn, fabric.global_rank == 0)
        with progress.task("features", len(dataset)):
            means = extraction.pooled_means(
                extractor, dataset, fabric.device, progress, batch_seconds, kept=kept
            )
        if len(inputs.encoders) > 1:
            means[~usable_rows(encoder, dataset)] = np.nan
        parts.append(means)
    return np.concatenate(parts, axis=1)


def standardise_by_means(head: LabelHead, means: np.ndarray) -> None:
    """Give a head the statistics of means (N, D), each input's by the utterances that have it."""
    if head.head.standardisation is None:
        return
    known = np.ma.masked_invalid(means.astype(np.float64))
    mean, std = (np.ma.filled(part(axis=0), 0.0) for part in (known.mean, known.std))
    head.head.standardisation.set(torch.from_numpy(mean), torch.from_numpy(std))


def standardise_by_frames(
    head: LabelHead, inputs: Inputs, dataset: Dataset, batch_seconds: float, run: Run,
    fabric: Fabric, progress: Progress,
) -> None:  # fmt: skip
    """Give a head the statistics of all frames of a dataset."""
    if head.head.standardisation is None:
        return
    found = []
    for name, encoder in inputs.encoders.items():
        extractor = extraction.wrap_encoder(encoder.to(fabric.device), None, {}, encoder.streams)
        spool = _named("statistics", name, inputs.encoders)
        kept = run.spool(spool, progress.warn, fabric.global_rank == 0)
        found.append(
            extraction.statistics(
                extractor, dataset, fabric.device, batch_seconds, progress, kept
            )
        )  # fmt: skip
    mean, std = (np.concatenate(part) for part in zip(*found))
    head.head.standardisation.set(torch.from_numpy(mean), torch.from_numpy(std))


def _named(what: str, name: str, encoders: Mapping[str, Encoder]) -> str:
    """The name of a spool."""
    return what if len(encoders) == 1 else f"{what}-{name}"
