"""Measures and fingerprints of the sound of each utterance, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.progress import Progress
from avaffect.core.streams import WAVEFORM
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.evaluation import sound_quality
from avaffect.evaluation.sound_quality import BITS, MEASURES
from avaffect.recipes.exploring.utterances import Utterances

# Of fewer utterances a second process takes longer to start than it saves.
FEW = 64
# Utterances of a store that a process reads at once.
AT_ONCE = 32
CLIPPED = "clipped_samples"
NO_SOUND = "no sound"


@dataclass(frozen=True)
class Sounds:
    """measures (N, M) float32 in the order of MEASURES, NaN where there is no sound; clipped (N,)
    samples at full scale, -1 unknown; fingerprints (N, BITS / 8), of those with has_fingerprint
    (N,); unusable: reason -> how many."""

    measures: np.ndarray
    clipped: np.ndarray
    fingerprints: np.ndarray
    has_fingerprint: np.ndarray
    unusable: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, count: int) -> Sounds:
        return cls(
            np.full((count, len(MEASURES)), np.nan, dtype=np.float32),
            np.full(count, -1, dtype=np.int64),
            np.zeros((count, BITS // 8), dtype=np.uint8),
            np.zeros(count, dtype=bool),
        )

    def of(self, measure: str) -> np.ndarray:
        """(N,)"""
        return np.asarray(self.measures[:, MEASURES.index(measure)])

    def put(self, row: int, heard: Heard) -> None:
        self.measures[row] = heard.measures
        self.clipped[row] = heard.clipped
        if heard.fingerprint is not None:
            self.fingerprints[row] = heard.fingerprint
            self.has_fingerprint[row] = True


@dataclass(frozen=True)
class Heard:
    """One utterance; see `Sounds`."""

    measures: np.ndarray
    fingerprint: np.ndarray | None
    clipped: int = -1


# Of each utterance in order: what was heard, or the reason why nothing was.
Results = Generator[Heard | str, None, None]


def heard(samples: np.ndarray, facts: Mapping[str, Any]) -> Heard:
    """samples (S,) int16 at 16 kHz; facts: of the decoder."""
    clipped = int(facts.get(CLIPPED, -1))
    return Heard(sound_quality.measured(samples), sound_quality.fingerprint(samples), clipped)


def listen(of: Utterances, jobs: int | None, progress: Progress) -> Sounds | None:
    """None where a store has no sound. What cannot be decoded is counted by its reason."""
    count, store = len(of.ids), of.store
    if store is not None and WAVEFORM not in store.streams:
        progress.warn(f"{of.name} has no waveforms: levels, noise and duplicates are not known")
        return None
    found = Sounds.empty(count)
    jobs = _jobs(jobs, count)
    progress.start("listen", count)
    if store is not None:
        results = _of_store(store, jobs)
    else:
        assert of.corpus is not None
        results = _of_corpus(of.corpus, jobs)
    with closing(results):
        for row, result in enumerate(results):
            if isinstance(result, Heard):
                found.put(row, result)
            else:
                found.unusable[result] += 1
            progress.advance(1)
    progress.finish()
    if store is not None and CLIPPED in store.meta:
        found.clipped[:] = np.asarray(store.meta[CLIPPED], dtype=np.int64)
    return found


def _jobs(wanted: int | None, count: int) -> int:
    import joblib

    most = int(joblib.cpu_count()) if count >= FEW else 1
    return max(1, min(wanted or most, count))


def _of_corpus(corpus: Manifest, jobs: int) -> Results:
    from avaffect.data.media import Lost, measure_items

    results = measure_items(corpus.folder, corpus.items, heard, jobs)
    with closing(results):
        for result in results:
            yield result.reason if isinstance(result, Lost) else result


def _of_store(store: Store, jobs: int) -> Results:
    from avaffect.data.workers import ordered_map

    rows = np.arange(store.count)
    parts = (rows[k : k + AT_ONCE].tolist() for k in range(0, store.count, AT_ONCE))
    results = ordered_map(partial(_read, store.path), parts, jobs, _crashed)
    with closing(results):
        for part in results:
            yield from part


def _read(path: Path, rows: list[int]) -> list[Heard | str]:
    store = _opened(path)
    return [*_each(store, rows)]


def _each(store: Store, rows: list[int]) -> Iterator[Heard | str]:
    for row in rows:
        samples = store.read(WAVEFORM, row)
        yield heard(samples, {}) if len(samples) else NO_SOUND


_OPEN: dict[Path, Store] = {}


def _opened(path: Path) -> Store:
    """Opened once a process."""
    if path not in _OPEN:
        _OPEN.clear()
        _OPEN[path] = Store(path)
    return _OPEN[path]


def _crashed(rows: list[int]) -> list[Heard | str]:
    return ["crashed"] * len(rows)
