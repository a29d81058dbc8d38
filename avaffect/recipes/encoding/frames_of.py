"""`extract --frames-of`: each frame of a class over time becomes an utterance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import MEAN
from avaffect.data.dataset import dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.tables.reader import of_part
from avaffect.recipes.common import work
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.encoding import around
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.recipes.encoding.labels_over_time import label_of
from avaffect.recipes.encoding.spoken import RECORDING, RECORDING_START
from avaffect.settings.extract import ExtractSettings


def run(
    settings: ExtractSettings,
    store: Store,
    rows: Sequence[int],
    extractor: Extractor,
    device: torch.device,
    made: Provenance,
    progress: Progress,
) -> None:
    """Write a store of frames: the vector around each, its class, and the fields of its recording.

    Raises DataError where the store has no such label, or the model gives no frames in time.
    """
    name = settings.frames_of
    assert name is not None
    spec = label_of(store, name)
    made_of = {**extractor.made, "around": settings.around}
    labels = {n: s for n, s in store.labels.items() if s.kind != "trace"}
    labels[name] = LabelSpec("class", spec.classes)
    carried, empty = Carried(store), []
    progress.start("extract", len(rows))
    with store_writer(
        settings.output, made, labels=labels, pooled={MEAN: PooledSpec(extractor.dim, made_of)}
    ) as writer:
        for row in rows:
            own = carried.labels_of(row)
            known = {n: own[n] for n in labels if n != name}
            fields, count = carried.fields_of(row), len(writer.ids)
            if "start_s" in fields:
                fields[RECORDING_START] = fields["start_s"]
            for step, value, vector in _vectors(
                settings, store, row, spec, extractor, device, progress
            ):
                start = step / spec.rate_hz
                part = (start, start + 1 / spec.rate_hz)
                writer.add(
                    of_part(store.ids[row], part),
                    pooled={MEAN: vector},
                    labels={**known, name: spec.classes[value]},
                    meta={
                        **fields, RECORDING: store.ids[row], "start_s": start,
                        "duration_s": 1 / spec.rate_hz,
                    },
                )  # fmt: skip
            if len(writer.ids) == count:
                empty.append(store.ids[row])
            progress.advance(1)
    progress.finish()
    if empty:
        progress.warn(
            f"{len(empty)} recordings have no frame of a known {name}: {work.some_of(empty)}"
        )
    progress.say(f"{settings.output}: {len(writer.ids)} frames of {len(rows)} recordings")


def _vectors(
    settings: ExtractSettings,
    store: Store,
    row: int,
    spec: LabelSpec,
    extractor: Extractor,
    device: torch.device,
    progress: Progress,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Step of the label, its class and its vector, of every so-many-th step whose class is
    known."""
    assert settings.frames_of is not None
    values = np.asarray(store.trace(settings.frames_of, row))
    steps = np.arange(0, len(values), settings.every)
    steps = steps[~np.isnan(values[steps])]
    recording = dataset_of([store], [store.ids[row]], extractor.streams)
    how = around.Around(settings.around, settings.batch_seconds)
    found = around.means(
        extractor, recording, (steps + 0.5) / spec.rate_hz, how, device, progress,
        settings.precision,
    )  # fmt: skip
    for number, vector in found:
        yield int(steps[number]), int(values[steps[number]]), vector
