"""What any model makes of utterances: shared by cluster, extract, adapt, predict and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.headers import QuantiserHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import WAVEFORM
from avaffect.data import artifacts
from avaffect.data.batches import sequential_batches
from avaffect.data.dataset import Dataset
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoded, Encoder, FrameEncoder, Frames, in_time, rate_of
from avaffect.models.front_ends import FrontEnd
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.encoding.front_ends import FRONT_ENDS
from avaffect.recipes.encoding.input_streams import chosen_streams
from avaffect.signal import features
from avaffect.training import checkpoint
from avaffect.training.device import mixed_precision, to_device
from avaffect.training.spool import Spool

# Batches that are computed together before their utterances are passed on in order.
WINDOW_BATCHES = 16


@dataclass
class Extractor:
    """What one model makes of a batch: `encode(batch)`, frames (B, T, dim) or tokens.

    made: JSON-able words on the model, for the stream's attributes. over_time: False where it gives
    tokens, or one vector that describes the whole of an utterance; rate_hz means nothing then.
    sampling: what a dataset reads for it. reach: of an encoder of frames, as it declares it.
    """

    encode: Callable[[Batch], Encoded]
    streams: tuple[str, ...]
    rate_hz: float
    dim: int
    made: dict[str, Any] = field(default_factory=dict)
    over_time: bool = True
    sampling: Sampling = EVERYTHING
    reach: int | None = None


def encoder_extractor(
    path: Path,
    layer: int | None,
    device: torch.device,
    stores: Sequence[Store],
    progress: Progress,
    modality: str | None = None,
    frames_for: str | None = None,
    in_patches: bool = False,
) -> Extractor:
    """Frames or tokens of an encoder's layer (1-based), or of its output, from what `stores` hold.

    frames_for: what needs frames, for the DataError of `in_time`; None: tokens will do. in_patches:
    see `chosen_streams`.
    """
    encoder, header = checkpoints.load_encoder(path, device)
    if frames_for is not None:
        in_time(encoder, f"{path}: {frames_for}")
    made: dict[str, Any] = {"model": {"content_id": header.content_id}, "layer": layer}
    if modality is not None:
        made["modality"] = modality
    streams = chosen_streams(encoder, modality, stores, progress, in_patches)
    return wrap_encoder(encoder, layer, made, streams)


def wrap_encoder(
    encoder: Encoder, layer: int | None, made: dict[str, Any], streams: tuple[str, ...]
) -> Extractor:
    """Raises UsageError for a layer that the encoder does not have."""
    encoder.check_layer(layer)

    def encode(batch: Batch) -> Encoded:
        return encoder(batch, layer=layer)

    over_time = isinstance(encoder, FrameEncoder)
    reach = encoder.reach if isinstance(encoder, FrameEncoder) else None
    return Extractor(
        encode, streams, rate_of(encoder), encoder.dim, made, over_time, encoder.sampling, reach
    )


def front_end_extractor(name: str) -> Extractor:
    """A named front-end, at 100 Hz where it has frames.

    Raises UsageError where no front-end has this name.
    """
    chosen: FrontEnd = FRONT_ENDS[name].load()
    made = {"front_end": name, **chosen.origin()}
    rate_hz = features.FEATURE_RATE_HZ
    return Extractor(chosen.frames, (WAVEFORM,), rate_hz, chosen.dim, made, chosen.over_time)


def quantiser_extractor(
    path: Path, device: torch.device, stores: Sequence[Store], progress: Progress
) -> Extractor:
    """Units (B, T, 1) of a quantiser, from the front-end or encoder that it was fitted on."""
    header, tensors = checkpoint.read(path, QuantiserHeader)
    quantiser = checkpoint.build(header.model, tensors, path)
    quantiser.to(device).eval()
    source = quantised_source(path, header, device, stores, progress)

    def encode(batch: Batch) -> Frames:
        found = source.encode(batch)
        assert isinstance(found, Frames)
        return Frames(quantiser(found.values)[..., None], found.lengths)

    made = {"clusters": header.clusters, "model": {"content_id": header.content_id}}
    return Extractor(encode, source.streams, source.rate_hz, 1, made, sampling=source.sampling)


def quantised_source(
    path: Path,
    header: QuantiserHeader,
    device: torch.device,
    stores: Sequence[Store],
    progress: Progress,
) -> Extractor:
    """The front-end or the encoder's layer whose frames a quantiser was fitted on."""
    source = header.preprocessing
    if source.front_end is not None:
        return front_end_extractor(source.front_end)
    parents = header.parents("model")
    if not parents:
        raise DataError(f"{path} does not say which encoder its clusters are made of")
    return encoder_extractor(
        artifacts.locate_parent(parents[0], path), source.layer, device, stores, progress,
        frames_for="a quantiser",
    )  # fmt: skip


def compute(
    extractor: Extractor,
    dataset: Dataset,
    device: torch.device,
    progress: Progress,
    *,
    batch_seconds: float = 80.0,
    batch_utterances: int = 64,
    precision: str = "32",
    reduce: Callable[[Encoded], Tensor] | None = None,
    of: Callable[[np.ndarray], np.ndarray] | None = None,
    kept: Spool | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """(index, values) of every chosen utterance of `dataset`, in order.

    values is (T, dim) without padding, or a row of `reduce(encoded)` (B, ...), or `of` either.
    Utterances are batched by length within a window of some batches, so that memory stays bounded,
    and one that is longer than a batch is read in parts where its frames have no context; one that
    is empty gives (0, dim), or its row of zeros. What `kept` holds is not computed again. Batches
    are those of the whole dataset, and computed if an utterance in them is chosen.
    """

    def rows_of(indices: np.ndarray) -> list[np.ndarray]:
        alone = len(indices) == 1 and durations[indices[0]] > batch_seconds
        with torch.inference_mode(), mixed_precision(device, precision):
            if alone and extractor.reach == 0 and dataset.crop_s is None:
                encoded = _in_parts(extractor, dataset, int(indices[0]), device, batch_seconds)
            else:
                encoded = extractor.encode(to_device(dataset.batch(indices), device))
            values = (encoded.values if reduce is None else reduce(encoded).float()).cpu().numpy()
        rows = list(values) if reduce is not None else _unpadded(encoded, values)
        return rows if of is None else [of(row) for row in rows]

    durations, chosen = dataset.batch_durations(), dataset.is_chosen
    for window in _windows(durations, batch_seconds * WINDOW_BATCHES):
        found: dict[int, np.ndarray] = {}
        for part in sequential_batches(durations[window], batch_seconds, batch_utterances):
            indices = window[part]
            if not chosen[indices].any():
                continue
            rows = rows_of(indices) if kept is None else kept.of(indices, rows_of)
            found |= dict(zip(indices.tolist(), rows))
            progress.advance(int(chosen[indices].sum()))
        for index in window[chosen[window]].tolist():
            yield index, found[index]
    if kept is not None:
        kept.close()


def _in_parts(
    extractor: Extractor, dataset: Dataset, index: int, device: torch.device, seconds: float
) -> Encoded:
    """One utterance, `seconds` of it at a time: pictures of an hour would need much memory."""
    rate_hz = extractor.rate_hz
    steps = max(1, int(seconds * rate_hz))
    parts = replace(dataset, crop_s=steps / rate_hz)
    count = max(int(dataset.steps(name)[index]) for name in extractor.streams)
    found = [
        extractor.encode(to_device(parts.batch_from([index], [first / rate_hz]), device))
        for first in range(0, count, steps)
    ]
    return Frames(
        torch.cat([part.values[part.valid] for part in found])[None],
        torch.tensor([sum(int(part.valid.sum()) for part in found)], device=device),
    )


def _unpadded(encoded: Encoded, values: np.ndarray) -> list[np.ndarray]:
    """values (B, N, dim) of each utterance without padding"""
    if isinstance(encoded, Frames):
        return [row[:length] for row, length in zip(values, encoded.lengths.tolist())]
    return [row[valid] for row, valid in zip(values, encoded.valid.cpu().numpy())]


def _windows(durations: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    """Consecutive indices whose utterances last about `seconds` together."""
    boundaries = np.floor(np.cumsum(durations) / seconds).astype(np.int64)
    for value in np.unique(boundaries):
        yield np.flatnonzero(boundaries == value)


def pooled_means(
    extractor: Extractor,
    dataset: Dataset,
    device: torch.device,
    progress: Progress,
    batch_seconds: float = 80.0,
    precision: str = "32",
    kept: Spool | None = None,
    reduce: Callable[[Encoded], Tensor] | None = None,
    width: int | None = None,
) -> np.ndarray:
    """(N, dim) float32 means over time or over tokens, padding excluded; or rows of `reduce`, of
    another width. Rows that are not chosen are zeros."""
    found = np.zeros((len(dataset), width or extractor.dim), dtype=np.float32)
    for index, row in compute(
        extractor, dataset, device, progress, batch_seconds=batch_seconds, precision=precision,
        reduce=reduce or (lambda encoded: encoded.mean()), kept=kept,
    ):  # fmt: skip
        found[index] = row
    return found


def statistics(
    extractor: Extractor,
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float = 80.0,
    progress: Progress = SILENT,
    kept: Spool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (dim,) float32 over all frames or tokens of the dataset."""

    def sums(values: np.ndarray) -> np.ndarray:
        counts = np.full(extractor.dim, len(values), dtype=np.float64)
        squares = np.square(values, dtype=np.float64).sum(axis=0)
        return np.stack([counts, values.sum(axis=0, dtype=np.float64), squares])

    found = np.zeros((3, extractor.dim))
    with progress.task("statistics of the features", len(dataset)):
        for _, row in compute(
            extractor, dataset, device, progress, batch_seconds=batch_seconds, of=sums, kept=kept
        ):
            found += row
    count, total, squares = found[0].max(initial=0), found[1], found[2]
    mean = total / max(count, 1)
    variance = np.maximum(squares / max(count, 1) - np.square(mean), 0.0)
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)
