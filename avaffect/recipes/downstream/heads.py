"""Predictions of heads for a dataset: shared by finetune and predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Frames
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.downstream.windows import Windows, windowed
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.training.spool import Spool

LONG = -1


def utterance_scores(group: HeadGroup, dataset: Dataset, kept: Spool | None = None) -> np.ndarray:
    """(N, heads, columns) of the chosen, whole, uncropped utterances. kept: rows that were computed
    before."""

    return _of_utterances(group, group.utterances, dataset, kept)


def distances(group: HeadGroup, dataset: Dataset) -> np.ndarray:
    """(N, heads) cosine distances of the shared embeddings of the chosen, whole utterances, NaN
    where one lacks a stream."""
    return _of_utterances(group, group.distances, dataset)[:, :, 0]


def _of_utterances(
    group: HeadGroup,
    compute: Callable[[Batch], Tensor],
    dataset: Dataset,
    kept: Spool | None = None,
) -> np.ndarray:
    """(N, heads, columns) of `compute`, (B, heads, ...) of a batch; of N chosen utterances."""

    def rows_of(batch: Batch) -> Frames:
        found = compute(batch)
        return Frames(found.flatten(1)[:, None], found.new_ones(len(found), dtype=torch.long))

    # One array from the first row on: there may be a row for each frame of many films.
    found: np.ndarray | None = None
    for place, (_, row) in enumerate(_rows(group, rows_of, dataset, kept)):
        values = row.reshape(len(group.heads), -1)
        if found is None:
            found = np.empty((int(dataset.is_chosen.sum()), *values.shape), dtype=values.dtype)
        found[place] = values
    return np.empty((0, len(group.heads), 0)) if found is None else found


def traces(
    group: HeadGroup, dataset: Dataset, windows: Windows, kept: Spool | None = None
) -> list[np.ndarray]:
    """N arrays (T, heads, traces) of the chosen, uncropped utterances, long ones in windows. kept:
    rows that were computed before."""

    def whole(batch: Batch) -> Frames:
        return group.over_time(group.inputs(batch))

    def in_windows(numbers: np.ndarray) -> list[np.ndarray]:
        return [windowed(group, dataset.subset(LONG - numbers), windows)]

    is_long = (dataset.durations() > windows.whole_s) & (not group.form.whole)
    rows = _rows(group, whole, dataset.subset(np.flatnonzero(~is_long)), kept)
    found = []
    for index, (long, chosen) in enumerate(zip(is_long.tolist(), dataset.is_chosen.tolist())):
        if not chosen:
            continue
        if long:
            # Rows of long recordings are kept apart from those of short ones, which count from 0.
            number = np.array([LONG - index])
            (row,) = in_windows(number) if kept is None else kept.of(number, in_windows)
            group.progress.advance(1)
        else:
            row = next(rows)[1]
        found.append(row.reshape(len(row), len(group.heads), -1))
    return found


def _rows(
    group: HeadGroup, frames: Callable[[Batch], Frames], dataset: Dataset, kept: Spool | None
) -> Iterator[tuple[int, np.ndarray]]:
    extractor = Extractor(frames, tuple(dataset.columns), group.inputs.rate_hz, len(group.heads))
    return extraction.compute(
        extractor, dataset, group.device, group.progress,
        batch_seconds=group.batch_seconds, kept=kept,
    )  # fmt: skip
