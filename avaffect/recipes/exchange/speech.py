"""Speech on which a model in another format is compared with its own."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.progress import Progress
from avaffect.core.streams import SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data import artifacts
from avaffect.data.store.reader import Store
from avaffect.recipes.common.work import Input

# Of each store.
MOST_UTTERANCES = 20
# Seconds of noise, where there is no speech.
NOISE_S = (0.5, 1.7, 3.0)
_FULL_SCALE = 32768.0


def inputs(paths: Sequence[Path]) -> list[Input]:
    """Stores and recordings as inputs. Raises DataError where one is not there."""
    found = []
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such recording or store of speech")
        is_store = artifacts.is_store(path)
        content = Store(path).content_id if is_store else file_content_id(path)
        found.append(("speech", path, content))
    return found


def waveforms(paths: Sequence[Path], seed: int, progress: Progress) -> Iterator[np.ndarray]:
    """(S,) float32, full scale at 1.0, of the first utterances of stores, and of recordings;
    without any, of noise.

    Raises DataError where a store has no waveforms, or a recording no sound.
    """
    if not paths:
        progress.warn("compared on noise alone: name recordings or a store with --speech")
        for seconds in NOISE_S:
            noise = seeds.generator(seed, "export", str(seconds))
            yield noise.normal(0, 0.1, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
    for path in paths:
        if not artifacts.is_store(path):
            yield _decoded(path)
            continue
        store = Store(path)
        if WAVEFORM not in store.streams:
            raise DataError(f"{path} has no waveforms: name a store that preprocess made")
        rows = np.flatnonzero(store.lengths(WAVEFORM))[:MOST_UTTERANCES]
        for row in rows.tolist():
            yield store.read(WAVEFORM, row).astype(np.float32) / _FULL_SCALE


def _decoded(path: Path) -> np.ndarray:
    # Imported here: stores need no decoder.
    from avaffect.data.decoding.audio import decode_audio
    from avaffect.data.decoding.unusable import Unusable

    sink = io.BytesIO()
    try:
        decode_audio(path, sink)
    except Unusable as error:
        raise DataError(f"{path}: {error}") from error
    return np.frombuffer(sink.getvalue(), dtype="<i2").astype(np.float32) / _FULL_SCALE
