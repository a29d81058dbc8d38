"""Heads on an encoder, applied: shared by finetune and predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.heads.attentive import Head, HeadConfiguration
from avaffect.models.heads.recurrent import RecurrentHead, RecurrentHeadConfiguration
from avaffect.models.heads.trace import TraceHead
from avaffect.recipes.downstream.windows import Windows, windowed
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training.spool import Spool

LONG = -1
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
    kept: Spool | None = None,
) -> np.ndarray:
    """(N, heads, outputs) of whole, uncropped utterances, in one pass of the encoder."""
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))

    def scores(frames: Frames) -> torch.Tensor:
        return torch.stack([head.utterance(frames) for head in heads], dim=1)

    rows = extraction.compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds, reduce=scores, kept=kept,
    )  # fmt: skip
    return np.stack([row for _, row in rows])


def traces(
    encoder: Encoder,
    heads: Sequence[AnyHead],
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
    windows: Windows | None = None,
    kept: Spool | None = None,
) -> list[np.ndarray]:
    """N arrays (T, heads, labels) of uncropped utterances, in one pass of the encoder; of long ones
    in windows, the default ones where they are None."""
    windows = windows or Windows()

    def over_time(seen: Frames) -> Frames:
        found = [head.over_time(seen) for head in heads]
        return Frames(torch.cat([f.values for f in found], dim=2), found[0].lengths)

    def whole(batch: Batch) -> Frames:
        return over_time(encoder(batch))

    extractor = Extractor(whole, tuple(dataset.columns), encoder.rate_hz, len(heads))
    is_long = dataset.durations() > windows.whole_s

    def windowed_rows(numbers: np.ndarray) -> list[np.ndarray]:
        recording = dataset.subset(LONG - numbers)
        row = windowed(
            encoder, over_time, frames_per_step(heads[0]), recording, windows, device,
            batch_seconds, progress,
        )  # fmt: skip
        return [row]

    short = dataset.subset(np.flatnonzero(~is_long))
    rows = extraction.compute(
        extractor, short, device, progress, batch_seconds=batch_seconds, kept=kept
    )
    found = []
    for index, long in enumerate(is_long.tolist()):
        if long:
            # Beside those of short ones, which count from 0.
            number = np.array([LONG - index])
            (row,) = windowed_rows(number) if kept is None else kept.of(number, windowed_rows)
            progress.advance(1)
        else:
            row = next(rows)[1]
        found.append(row.reshape(len(row), len(heads), -1))
    return found


def frames_per_step(head: AnyHead) -> int:
    """Frames of the encoder for each step that a head gives over time."""
    beneath = head.head if isinstance(head, TraceHead) else head
    return beneath.configuration.frames_per_step if isinstance(beneath, RecurrentHead) else 1
