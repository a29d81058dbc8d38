"""Frames of a frozen encoder, computed once for heads that read more of them than means."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np

from avaffect.core.sampling import EVERYTHING
from avaffect.core.streams import FEATURES
from avaffect.data.dataset import column_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.encoder import FrameEncoder
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration, stream_of
from avaffect.models.heads.registry import on_two_streams
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.layers import beneath
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.encoding import extraction
from avaffect.recipes.encoding.input_streams import frame_counts
from avaffect.settings.head_options import ATTENTIVE, WEIGHTED
from avaffect.training.run import Run

NAME = "frames.h5"
# More than this is not written: the encoder then computes the frames of each step.
MOST_BYTES = 16 * 2**30
# Of the disk that is free.
SHARE = 0.5


def compute_once(material: Material, run: Run) -> None:
    """Compute the encoder's frames, all layers of them, and have all runs read those, where that is
    worth it and there is room in the state folder."""
    encoder = material.opened.inputs.encoders.get(ENCODER)
    if not _worthwhile(material) or not isinstance(encoder, FrameEncoder) or run.folder is None:
        return
    size = int(frame_counts(encoder, material.dataset).sum()) * encoder.dim * 4
    room = min(MOST_BYTES, int(SHARE * shutil.disk_usage(run.folder).free))
    path = run.folder / NAME
    if size > room and not path.exists():
        material.progress.say(
            f"the frames would take {size / 2**30:.1f} GiB of the {room / 2**30:.1f} that may be "
            "used beside the output: they are computed anew in each epoch"
        )
        return
    if not path.exists() and material.fabric.global_rank == 0:
        _write(material, encoder, run)
    material.fabric.barrier()
    _read(material, encoder, Store(path))


def _worthwhile(material: Material) -> bool:
    """Whether a frozen head reads frames, more than those of a layer or with attention."""
    settings = material.settings
    if settings.mode != "frozen" or material.reads_means or material.labels.over_time:
        return False
    if material.treatment.augments or material.dataset.sampling != EVERYTHING:
        return False
    return (
        settings.layers == WEIGHTED
        or settings.pooling == ATTENTIVE
        or on_two_streams(settings.head)
    )


def _write(material: Material, encoder: FrameEncoder, run: Run) -> None:
    assert run.folder is not None
    dataset, progress = material.dataset, material.progress
    extractor = extraction.wrap_encoder(encoder, None, {}, encoder.streams)
    encoder.to(material.fabric.device)
    spec = StreamSpec(FEATURES, "float32", encoder.rate_hz, (encoder.dim,), made={})
    kept = material.spool(run, FEATURES)
    with (
        progress.task("features", len(dataset)),
        store_writer(run.folder / NAME, {}, streams={FEATURES: spec}) as writer,
    ):
        for index, values in extraction.compute(
            extractor, dataset, material.fabric.device, progress,
            batch_seconds=material.settings.batch_seconds, kept=kept,
        ):  # fmt: skip
            writer.add(dataset.ids[index], streams={FEATURES: np.ascontiguousarray(values)})
    if kept is not None:
        kept.remove()


def _read(material: Material, encoder: FrameEncoder, store: Store) -> None:
    """The dataset and the inputs of all runs, with the store's frames in the encoder's place."""
    stream = stream_of(ENCODER)
    given = GivenFeatures(GivenFeaturesConfiguration(encoder.dim, encoder.rate_hz, stream)).eval()
    others = {n: e for n, e in material.opened.inputs.encoders.items() if n != ENCODER}
    dataset = material.dataset
    column = replace(column_of([store], dataset.ids, FEATURES), held_as=FEATURES)
    columns = {n: c for n, c in dataset.columns.items() if n not in beneath(encoder).streams}
    material.dataset = replace(dataset, columns={stream: column, **columns})
    material.once = Inputs({ENCODER: given, **others}, material.opened.inputs.either)
