"""Heads on an encoder, applied: shared by finetune and predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.heads import Head, HeadConfiguration
from avaffect.models.recurrent_head import RecurrentHead, RecurrentHeadConfiguration
from avaffect.models.trace_head import TraceHead
from avaffect.recipes import extraction
from avaffect.recipes.extraction import Extractor
from avaffect.settings.finetune import FinetuneSettings

AnyHead = Head | RecurrentHead | TraceHead


def new_head(settings: FinetuneSettings, dim: int, outputs: int) -> Head | RecurrentHead:
    """A fresh head; on frozen features it standardises them first."""
    if settings.head == "linear":
        frozen = settings.mode == "frozen"
        return Head(HeadConfiguration(dim, outputs, dropout=settings.dropout, standardise=frozen))
    configuration = RecurrentHeadConfiguration(
        dim, outputs, settings.hidden, settings.layers, settings.dropout,
        settings.frames_per_step, bidirectional=settings.head == "bgru",
    )  # fmt: skip
    return RecurrentHead(configuration)


def utterance_scores(
    encoder: Encoder,
    heads: Sequence[AnyHead],
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
    heads: Sequence[AnyHead],
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
) -> list[np.ndarray]:
    """N arrays (T, heads, labels) of whole, uncropped utterances, in one pass of the encoder."""

    def frames(batch: Batch) -> Frames:
        seen = encoder(batch)
        found = [head.over_time(seen) for head in heads]
        return Frames(torch.cat([f.values for f in found], dim=2), found[0].lengths)

    extractor = Extractor(frames, tuple(dataset.columns), encoder.rate_hz, len(heads))
    rows = extraction.compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds
    )  # fmt: skip
    return [row.reshape(len(row), len(heads), -1) for _, row in rows]
