"""Utterances of stores as noise for others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avaffect.core.streams import WAVEFORM
from avaffect.data.dataset import Dataset, dataset_of, unique_ids
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store


def stored_recordings(stores: Sequence[Store]) -> tuple[Dataset, list[str]]:
    """The utterances with audio, and who speaks, "" where it is not known."""
    dataset = dataset_of(stores, unique_ids(stores), (WAVEFORM,))
    annotations = Annotations({})
    speakers = [name for store in stores for name in annotations.field(store, "speaker")]
    rows = np.flatnonzero(dataset.steps(WAVEFORM) > 0)
    return dataset.subset(rows), [speakers[row] for row in rows]
