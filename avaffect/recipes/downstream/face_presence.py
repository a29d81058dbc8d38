"""Steps of a prediction for which a face was present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.streams import FACE, FACE_TRACK
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.faces.options import ABSENT, COLUMNS
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.traces import delayed

STREAM, FIELD = "face_seen", "steps_without_face"
_SOURCE = COLUMNS.index("source")


@dataclass(frozen=True)
class FacePresence:
    """tracks: face_track of each utterance in its store; faces (N,): its number of pictures."""

    tracks: Dataset
    faces: np.ndarray

    def steps(
        self, index: int, count: int, rate_hz: float, delay_s: float = 0.0
    ) -> np.ndarray | None:
        """(count,) bool: whether any picture of a step shows a face; steps at rate_hz, delayed by
        delay_s as predictions are. None where that is unknown: pictures without a track."""
        track = self.tracks.read(FACE_TRACK, index)
        if self.faces[index] and not len(track):
            return None
        pictures = max(1, round(self.tracks.columns[FACE_TRACK].rate_hz / rate_hz))
        there = np.zeros(count * pictures, dtype=bool)
        known = track[: len(there), _SOURCE] != ABSENT
        there[: len(known)] = known
        seen = np.asarray(there.reshape(count, pictures).any(axis=1))
        return delayed(seen.astype(np.float32), rate_hz, delay_s) >= 0.5


def presence_of(stores: Sequence[Store], dataset: Dataset) -> FacePresence | None:
    """Of a dataset's utterances; None where no faces are read, or no store has their tracks."""
    if FACE not in dataset.columns or not any(FACE_TRACK in store.streams for store in stores):
        return None
    return FacePresence(dataset_of(stores, dataset.ids, [FACE_TRACK]), dataset.steps(FACE))


def stream(rate_hz: float) -> StreamSpec:
    """Of a prediction's store: 1 where a face was present, else 0."""
    return StreamSpec("presence", "uint8", rate_hz)
