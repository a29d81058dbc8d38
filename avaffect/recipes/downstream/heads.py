"""Applying heads on an encoder: shared by finetune and predict."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import FrameHead, HeadInput
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.registry import HEADS
from avaffect.models.inputs import Inputs
from avaffect.recipes.downstream.windows import Windows, windowed
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training.spool import Spool

LONG = -1


def new_head(settings: FinetuneSettings, inputs: Sequence[HeadInput], outputs: int) -> FrameHead:
    """A fresh head; on what is frozen it standardises its inputs first.

    Its configuration takes those of the settings that it has fields for.
    """
    part = HEADS[settings.head]
    known = {
        "hidden": settings.hidden,
        "layers": settings.layers,
        "dropout": settings.dropout,
        "frames_per_step": settings.frames_per_step,
        "standardise": settings.mode == "frozen",
    }
    fields = {field.name for field in dataclasses.fields(part.load_configuration())}
    chosen = {n: value for n, value in known.items() if n in fields and value is not None}
    given = [dataclasses.asdict(item) for item in inputs]
    return part.make({"inputs": given, "outputs": outputs, **chosen})


def utterance_scores(
    inputs: Inputs,
    heads: Sequence[LabelHead],
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
    kept: Spool | None = None,
) -> np.ndarray:
    """(N, heads, columns) of whole, uncropped utterances, in one pass of the encoder."""

    def scores(batch: Batch) -> Frames:
        frames = inputs(batch)
        found = torch.stack([head.utterances(head(frames)) for head in heads], dim=1)
        return Frames(found.flatten(1)[:, None], found.new_ones(len(found), dtype=torch.long))

    extractor = Extractor(scores, tuple(dataset.columns), inputs.rate_hz, len(heads))
    rows = extraction.compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds, kept=kept
    )
    return np.stack([row.reshape(len(heads), -1) for _, row in rows])


def traces(
    inputs: Inputs,
    heads: Sequence[LabelHead],
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
    windows: Windows | None = None,
    kept: Spool | None = None,
) -> list[np.ndarray]:
    """N arrays (T, heads, traces) of uncropped utterances, in one pass of the encoder; of long ones
    in windows, the default ones where they are None."""
    windows = windows or Windows()

    def over_time(seen: dict[str, Frames]) -> Frames:
        found = [head.traces(head(seen)) for head in heads]
        return Frames(torch.cat([f.values for f in found], dim=2), found[0].lengths)

    def whole(batch: Batch) -> Frames:
        return over_time(inputs(batch))

    extractor = Extractor(whole, tuple(dataset.columns), inputs.rate_hz, len(heads))
    is_long = dataset.durations() > windows.whole_s

    def windowed_rows(numbers: np.ndarray) -> list[np.ndarray]:
        recording = dataset.subset(LONG - numbers)
        row = windowed(
            inputs, over_time, heads[0].head.frames_per_step, recording, windows, device,
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
