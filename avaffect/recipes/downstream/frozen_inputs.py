"""Means, moments and statistics of frozen inputs, computed once for a head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.data.batches import Rows
from avaffect.data.dataset import VectorColumn
from avaffect.data.vectors import ChosenVectors
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.given import GivenVectors
from avaffect.models.heads.labels import LabelHead
from avaffect.models.layers import layers_of
from avaffect.models.pooling import moments_of, moments_width, pairs_of
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.recipes.encoding.input_streams import usable_rows
from avaffect.training.run import Run
from avaffect.training.spool import Spool

Statistics = tuple[np.ndarray, np.ndarray]
BLOCK_ROWS = 4096


def pooled_means(material: Material, run: Run) -> np.ndarray | ChosenVectors:
    """(N, D) means over time of all inputs, concatenated, or moments where the head reads these;
    NaN for inputs that an utterance lacks, where there are several. One vector an utterance is its
    own mean, and stays in its store."""
    dataset, progress = material.dataset, material.progress
    given = _given_vectors(material)
    if given is not None:
        return given
    parts = []
    for encoder, extractor, kept in _extractors("features", material, run):
        reduce, width = None, None
        if material.form.reads_moments:
            layers = layers_of(encoder)
            reduce, width = partial(moments_of, layers=layers), moments_width(encoder.dim, layers)
        with progress.task("features", len(dataset)):
            means = extraction.pooled_means(
                extractor, dataset, material.fabric.device, progress,
                material.settings.batch_seconds, kept=kept, reduce=reduce, width=width,
            )  # fmt: skip
        if len(material.inputs.encoders) > 1:
            means[~usable_rows(encoder, dataset)] = np.nan
        parts.append(means)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _given_vectors(material: Material) -> ChosenVectors | None:
    """The vectors of the stores, where the head reads these alone."""
    encoders, dataset = list(material.inputs.encoders.values()), material.dataset
    if len(encoders) > 1 or not isinstance(encoders[0], GivenVectors):
        return None
    column = dataset.columns[encoders[0].configuration.stream]
    if material.form.reads_moments or not isinstance(column, VectorColumn):
        return None
    return ChosenVectors(column, np.arange(len(dataset)))


def standardise(head: LabelHead, material: Material, rows: np.ndarray, run: Run) -> None:
    """Set the statistics of a head's inputs, of layers those of each layer, to those of the
    utterances in these rows: of their means, each input's over the utterances that have it, or of
    all their frames. Then those of the vectors that the head pools, with its weights as they are.
    """
    known, summed = head.head.standardisation, head.layer_sum
    if known is not None or summed is not None:
        sizes = [item.dim for item in head.inputs]
        found = _statistics(head, material, rows, run)
        parts = [list(torch.from_numpy(part).split(sizes)) for part in found]
        if summed is not None:
            place = [item.name for item in head.inputs].index(summed.configuration.name)
            if summed.standardisation is not None:
                summed.standardisation.set(*(part[place] for part in parts))
            # A sum of standardised layers: the head leaves it as it is.
            dim = summed.configuration.dim
            parts[0][place], parts[1][place] = torch.zeros(dim), torch.ones(dim)
        if known is not None:
            known.set(*(torch.cat(part) for part in parts))
    if head.head.pooled is not None:
        mean, std = _over_utterances(_pooled(head, material, rows))
        head.head.pooled.set(torch.from_numpy(mean), torch.from_numpy(std))


def _statistics(head: LabelHead, material: Material, rows: np.ndarray, run: Run) -> Statistics:
    """Mean and standard deviation (D,) of the inputs, concatenated."""
    if material.pooled is not None:
        if head.head.reads_moments:
            return _of_moments(head, material.pooled[rows])
        return _over_utterances(material.pooled, rows)
    dataset = material.dataset.subset(rows)
    found = [
        extraction.statistics(
            extractor, dataset, material.fabric.device, material.settings.batch_seconds,
            material.progress, kept,
        )
        for _, extractor, kept in _extractors("statistics", material, run)
    ]  # fmt: skip
    mean, std = (np.concatenate(part) for part in zip(*found))
    return mean, std


def _over_utterances(rows: Rows, chosen: np.ndarray | None = None) -> Statistics:
    """Of rows (N, D), or the chosen ones of them, what is finite. In blocks: there may be a row for
    each frame of many films, which float64 would hold several times."""
    numbers = np.arange(len(rows)) if chosen is None else chosen

    def summed(of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(D,) over all rows; what is not finite counts nothing."""
        total = np.zeros(rows[numbers[:1]].shape[1])
        for first in range(0, len(numbers), BLOCK_ROWS):
            block = rows[numbers[first : first + BLOCK_ROWS]].astype(np.float64)
            total += np.where(np.isfinite(block), of(block), 0.0).sum(axis=0)
        return total

    count = np.maximum(summed(np.ones_like), 1)
    mean = summed(lambda block: block) / count
    return mean, np.sqrt(summed(lambda block: np.square(block - mean)) / count)


def _of_moments(head: LabelHead, rows: np.ndarray) -> Statistics:
    """Of frames, each utterance's with the same weight."""
    mean, std = [], []
    given = head.of_rows(torch.from_numpy(rows))
    for item in head.inputs:
        there, moments = given[item.name].present, given[item.name]
        pairs = pairs_of(head.layers.get(item.name, 1))
        own = [place for place, (a, b) in enumerate(pairs) if a == b]
        variances = moments.products.unflatten(-1, (len(pairs), -1))[there][:, own].flatten(1)
        between = _over_utterances(moments.means[there].numpy())
        within = _over_utterances(variances.numpy())[0]
        mean.append(between[0])
        std.append(np.sqrt(between[1] ** 2 + within))
    return np.concatenate(mean), np.concatenate(std)


def _pooled(head: LabelHead, material: Material, rows: np.ndarray) -> np.ndarray:
    """(n, D) vectors that the head pools, NaN for inputs that an utterance lacks."""

    def pooled(inputs: Mapping[str, Any]) -> Tensor:
        found = head.head.pool(head.summed(inputs))
        sizes = [item.dim for item in head.head.inputs]
        there = [
            inputs[item.name].present[:, None].expand(-1, size * found.shape[1] // sum(sizes))
            for item, size in zip(head.head.inputs, sizes)
        ]
        return torch.where(torch.cat(there, dim=1), found, torch.nan)

    if material.pooled is not None:
        with torch.no_grad():
            return pooled(head.of_rows(torch.from_numpy(material.pooled[rows]))).numpy()

    def vectors(batch: Batch) -> Frames:
        found = pooled(material.inputs(batch))
        return Frames(found[:, None], found.new_ones(len(found), dtype=torch.long))

    dataset = material.dataset.subset(rows)
    head.to(material.fabric.device).eval()
    extractor = Extractor(vectors, tuple(dataset.columns), material.inputs.rate_hz, 0)
    found = extraction.compute(
        extractor, dataset, material.fabric.device, material.progress,
        batch_seconds=material.settings.batch_seconds,
    )  # fmt: skip
    return np.concatenate([row for _, row in found])


def _extractors(
    what: str, material: Material, run: Run
) -> Iterator[tuple[Encoder, Extractor, Spool | None]]:
    """Of each input, with the name of the file of its computed rows."""
    encoders = material.inputs.encoders
    for name, encoder in encoders.items():
        encoder.to(material.fabric.device)
        spool = what if len(encoders) == 1 else f"{what}-{name}"
        extractor = extraction.wrap_encoder(encoder, None, {}, encoder.streams)
        yield encoder, extractor, material.spool(run, spool)
