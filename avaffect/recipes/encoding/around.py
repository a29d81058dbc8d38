"""Frames as utterances: the mean of an encoder's frames around each, for classes over time.

SAAML, appendix A.1, classifies a picture from two seconds on either side. A recording is encoded in
blocks, each frame once but for the margins that give the first and last of a block their context,
and means are taken from what was encoded: memory holds a block, however long the recording is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.models.encoder import Frames
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.training.device import mixed_precision, to_device

# Shorter blocks would be margins above all.
LEAST_BLOCK_S = 4.0


@dataclass(frozen=True)
class Around:
    """seconds: on either side of a frame; block_s: that are encoded at once, margins aside."""

    seconds: float
    block_s: float


def means(
    extractor: Extractor,
    recording: Dataset,
    times: np.ndarray,
    around: Around,
    device: torch.device,
    progress: Progress,
    precision: str = "32",
) -> Iterator[tuple[int, np.ndarray]]:
    """Number of a time and (dim,): the mean of the frame that holds it and of those whose middles
    are at most `seconds` away from it, in order; times without any are left out. recording: of one
    utterance; times (K,) seconds, rising.

    Raises DataError where the extractor does not give frames in time.
    """
    rate_hz = extractor.rate_hz
    if not extractor.over_time:
        raise DataError("frames of a class over time need an encoder of frames in time")
    # First and last frame of each window: frame k is from k / rate to (k + 1) / rate.
    first = np.ceil((times - around.seconds) * rate_hz - 0.5 - 1e-6).clip(min=0).astype(np.int64)
    last = np.floor((times + around.seconds) * rate_hz - 0.5 + 1e-6).astype(np.int64)
    own = np.floor(times * rate_hz + 1e-6).astype(np.int64)
    first, last = np.minimum(first, own), np.maximum(last, own)
    kept, begin, place = np.zeros((0, extractor.dim), dtype=np.float32), 0, 0
    for block in _blocks(extractor, recording, around, device, progress, precision):
        ended = block is None
        if block is not None:
            kept = np.concatenate([kept, block])
        end = begin + len(kept)
        ready = len(times) if ended else int(np.searchsorted(last, end, side="left"))
        sums = np.concatenate([np.zeros((1, extractor.dim)), kept.cumsum(axis=0, dtype=np.float64)])
        for number in range(place, ready):
            low, high = first[number] - begin, min(last[number] + 1 - begin, len(kept))
            if high > low:
                yield number, ((sums[high] - sums[low]) / (high - low)).astype(np.float32)
        place = ready
        if place < len(times):
            drop = int(min(max(first[place] - begin, 0), len(kept)))
            kept, begin = kept[drop:], begin + drop


def _blocks(
    extractor: Extractor,
    recording: Dataset,
    around: Around,
    device: torch.device,
    progress: Progress,
    precision: str,
) -> Iterator[np.ndarray | None]:
    """The frames of a recording, block after block, then None."""
    rate_hz, total_s = extractor.rate_hz, float(recording.durations()[0])
    length = max(1, round(max(around.block_s, LEAST_BLOCK_S) * rate_hz))
    margin = extractor.reach
    if margin is None:
        # An encoder of sound gives a frame less than lasts a piece.
        margin = max(2, round(around.seconds * rate_hz))
    start = 0
    while start / rate_hz < total_s:
        progress.check()
        before = min(margin, start)
        piece = replace(recording, crop_s=(before + length + margin) / rate_hz)
        batch = piece.batch_from([0], [(start - before) / rate_hz])
        with torch.inference_mode(), mixed_precision(device, precision):
            encoded = extractor.encode(to_device(batch, device))
        assert isinstance(encoded, Frames)
        found = encoded.values[0, : int(encoded.lengths[0])].float().cpu().numpy()
        yield found[before : before + length]
        start += length
    yield None
