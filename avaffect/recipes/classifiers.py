"""Heads on an encoder, applied: shared by finetune and predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.heads import Head
from avaffect.models.recurrent_head import RecurrentHead
from avaffect.recipes import extraction
from avaffect.recipes.extraction import Extractor

Heads = Sequence[Head | RecurrentHead]


def utterance_scores(
    encoder: Encoder,
    heads: Heads,
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
) -> np.ndarray:
    """(N, heads, outputs) of whole, uncropped utterances, in one pass of the encoder."""
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))

    def scores(frames: Frames) -> torch.Tensor:
        return torch.stack([head.utterance(frames) for head in heads], dim=1)

    rows = extraction.compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds, reduce=scores
    )
    return np.stack([row for _, row in rows])


def traces(
    encoder: Encoder,
    heads: Heads,
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
) -> list[np.ndarray]:
    """N arrays (T, heads, outputs) of whole, uncropped utterances, in one pass of the encoder."""

    def frames(batch: Batch) -> Frames:
        seen = encoder(batch)
        found = [head.over_time(seen) for head in heads]
        return Frames(torch.cat([f.values for f in found], dim=2), found[0].lengths)

    extractor = Extractor(frames, tuple(dataset.columns), encoder.rate_hz, len(heads))
    rows = extraction.compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds
    )  # fmt: skip
    return [row.reshape(len(row), len(heads), -1) for _, row in rows]


def steps_per_second(encoder: Encoder, head: Head | RecurrentHead) -> float:
    """The rate of a head's steps over time."""
    return encoder.rate_hz / getattr(head.configuration, "frames_per_step", 1)
