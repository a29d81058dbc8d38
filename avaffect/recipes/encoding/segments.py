"""Segments of recordings as one vector each, and pictures in patches (SAAML, appendix A.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE
from avaffect.data.dataset import Dataset
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoded
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor

# A remainder at the end of a recording that is a smaller share of a segment is left out.
LEAST = 0.1


def in_segments(dataset: Dataset, seconds: float) -> tuple[Dataset, np.ndarray]:
    """The segments of all utterances, side by side from their beginning, the last of which may be
    shorter; and (M,) int64, the utterance of each. Utterances shorter than that have one."""
    counts = np.maximum(1, np.floor(dataset.durations() / seconds + 1 - LEAST).astype(np.int64))
    rows = np.repeat(np.arange(len(dataset)), counts)
    starts = np.concatenate([np.arange(n) * seconds for n in counts.tolist()] or [np.zeros(0)])
    return replace(dataset.subset(rows), crop_s=seconds, starts_s=starts), rows


def vectors(
    extractor: Extractor,
    dataset: Dataset,
    seconds: float,
    device: torch.device,
    progress: Progress,
    **options: Any,
) -> Iterator[tuple[int, np.ndarray]]:
    """Index of an utterance and (segments, dim): the mean of the frames of each segment, which is
    encoded by itself; (0, dim) where it gives no frame at all. Memory holds some batches, however
    long a recording is. options: of `extraction.compute`."""
    parts, rows = in_segments(dataset, seconds)

    def reduce(encoded: Encoded) -> Tensor:
        # With whether there is a frame.
        return torch.cat([encoded.mean(), encoded.present[:, None].to(encoded.values.dtype)], 1)

    found: list[np.ndarray] = []
    computed = extraction.compute(extractor, parts, device, progress, reduce=reduce, **options)
    for number, row in computed:
        found.append(row)
        utterance = int(rows[number])
        if number + 1 == len(rows) or rows[number + 1] != utterance:
            whole = np.stack(found)
            yield utterance, whole[:, :-1] if whole[:, -1].any() else whole[:0, :-1]
            found = []


def in_patches(extractor: Extractor, side: int, store: Store) -> Extractor:
    """The extractor applied to each patch of side x side pixels of the pictures, its vectors side
    by side: left to right, then top to bottom. What is left over lies around them evenly.

    Raises UsageError where it reads no pictures, DataError where they are smaller than a patch.
    """
    if FACE not in extractor.streams:
        raise UsageError(f"--patch {side}: the model reads no pictures here")
    height, width, _ = store.streams[FACE].shape
    rows, columns = height // side, width // side
    if not rows * columns:
        raise DataError(
            f"{store.path}: its pictures are {width} x {height} pixels, smaller than a patch of "
            f"{side}; give a smaller --patch, or preprocess with a larger --size"
        )
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    corners = [(top + r * side, left + c * side) for r in range(rows) for c in range(columns)]

    def encode(batch: Batch) -> Encoded:
        pictures = batch.streams[FACE]
        found = []
        for y, x in corners:
            patch = pictures[:, :, y : y + side, x : x + side]
            found.append(extractor.encode(replace(batch, streams={**batch.streams, FACE: patch})))
        return found[0].with_values(torch.cat([one.values for one in found], dim=-1))

    made = {**extractor.made, "patch": side, "patches": [rows, columns]}
    return replace(extractor, encode=encode, dim=extractor.dim * len(corners), made=made)
