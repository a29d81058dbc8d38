"""Means and statistics of frozen inputs, computed once for a head."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from avaffect.models.encoder import Encoder
from avaffect.models.standardisation import Standardisation
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.recipes.encoding.input_streams import usable_rows
from avaffect.training.run import Run
from avaffect.training.spool import Spool


def pooled_means(material: Material, run: Run) -> np.ndarray:
    """(N, D) means over time of all inputs, concatenated; NaN for inputs that an utterance lacks,
    where there are several."""
    dataset, progress = material.dataset, material.progress
    parts = []
    for encoder, extractor, kept in _extractors("features", material, run):
        with progress.task("features", len(dataset)):
            means = extraction.pooled_means(
                extractor, dataset, material.fabric.device, progress,
                material.settings.batch_seconds, kept=kept,
            )  # fmt: skip
        if len(material.opened.inputs.encoders) > 1:
            means[~usable_rows(encoder, dataset)] = np.nan
        parts.append(means)
    return np.concatenate(parts, axis=1)


def standardise(known: Standardisation, material: Material, rows: np.ndarray, run: Run) -> None:
    """Set the statistics of the utterances in these rows: of their means, each input's over the
    utterances that have it, or of all their frames."""
    if material.pooled is not None:
        means = np.ma.masked_invalid(material.pooled[rows].astype(np.float64))
        mean, std = (np.ma.filled(part(axis=0), 0.0) for part in (means.mean, means.std))
    else:
        dataset = material.dataset.subset(rows)
        found = [
            extraction.statistics(
                extractor, dataset, material.fabric.device, material.settings.batch_seconds,
                material.progress, kept,
            )
            for _, extractor, kept in _extractors("statistics", material, run)
        ]  # fmt: skip
        mean, std = (np.concatenate(part) for part in zip(*found))
    known.set(torch.from_numpy(mean), torch.from_numpy(std))


def _extractors(
    what: str, material: Material, run: Run
) -> Iterator[tuple[Encoder, Extractor, Spool | None]]:
    """Of each input, with the name of the file of its computed rows."""
    encoders = material.opened.inputs.encoders
    for name, encoder in encoders.items():
        encoder.to(material.fabric.device)
        spool = what if len(encoders) == 1 else f"{what}-{name}"
        extractor = extraction.wrap_encoder(encoder, None, {}, encoder.streams)
        yield encoder, extractor, material.spool(run, spool)
