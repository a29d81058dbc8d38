"""How `adapt` trains, once it is known that there is work to do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Paired
from avaffect.data.dataset import Dataset, dataset_of, held_streams
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.encoder import Encoder
from avaffect.models.heads.attentive import Head, HeadConfiguration
from avaffect.objectives.adaptation import SAAML
from avaffect.objectives.masked_prediction import MaskedPrediction, Masking
from avaffect.recipes.common import training_run
from avaffect.recipes.common.lineage import Lineage
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.common.verification import verify
from avaffect.recipes.encoding import checkpoints, extraction
from avaffect.recipes.encoding.input_streams import chosen_streams
from avaffect.recipes.pretraining.retrieval_manifest import Drawn, save_manifest
from avaffect.settings.adapt import AdaptSettings
from avaffect.training.device import make_fabric, resolve_device
from avaffect.training.loop import train
from avaffect.training.run import Outcome, Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# SAAML: the emotion and domain classifiers are {100, classes} and {100, 2}.
HIDDEN = 100


def run(
    settings: AdaptSettings, manifest: Manifest, drawn: Drawn, lineage: Lineage, made: Provenance,
    progress: Progress,
) -> None:  # fmt: skip
    """Adapt the encoder behind a retrieval manifest and write it."""
    fabric = make_fabric(settings.device, settings.precision)
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        if fabric.global_rank == 0:
            save_manifest(manifest, opened.folder)
        _adapt(settings, drawn, lineage, made, opened, fabric, progress)


def _adapt(
    settings: AdaptSettings, drawn: Drawn, lineage: Lineage, made: Provenance, opened: Run,
    fabric: Fabric, progress: Progress,
) -> None:  # fmt: skip
    if fabric.global_rank == 0 and lineage.quantiser is not None:
        _write_units(opened, lineage, drawn, settings, progress)
    fabric.barrier()
    encoder, header = checkpoints.load_encoder(lineage.encoder, torch.device("cpu"))
    masking = checkpoints.masking_of(header, encoder)
    batches = _batches(settings, lineage, drawn, encoder, opened.folder)
    objective = _objective(settings, lineage, drawn, encoder, masking, batches)
    progress.say(
        f"{len(drawn.queries)} queries, {len(drawn.pool)} distinct retrieved utterances, "
        f"{drawn.pairs.shape[1]} draws, {len(batches.plan(0))} batches an epoch"
    )
    outcome = train(objective, batches, settings, opened, fabric, progress)
    if fabric.global_rank == 0:
        opened.check()
        _save(settings, objective, outcome, lineage, drawn, made, masking)
        progress.say(_summary(settings.output, outcome.first, outcome.last))


def _save(
    settings: AdaptSettings,
    objective: SAAML,
    outcome: Outcome,
    lineage: Lineage,
    drawn: Drawn,
    made: Provenance,
    masking: Masking,
) -> None:
    pretraining = objective.pretraining
    checkpoints.save_encoder(
        settings.output,
        objective.encoder,
        pretraining.head if isinstance(pretraining, MaskedPrediction) else None,
        {"emotion_classifier": objective.emotion, "domain_classifier": objective.domain},
        provenance=made,
        pretext=asdict(masking),
        labels={drawn.label: tuple(drawn.classes)},
        metrics={"first": outcome.first, "last": outcome.last},
        labelled_speakers=tuple(sorted({*lineage.labelled_speakers, *drawn.speakers})),
    )


def _write_units(
    run: Run,
    lineage: Lineage,
    drawn: Drawn,
    settings: AdaptSettings,
    progress: Progress,
) -> None:
    """Units of the queries and of the drawn part of the pool, once, beside the run's state."""
    device = resolve_device(settings.device)
    media = [*lineage.query_media, *lineage.pool_media]
    extractor = extraction.quantiser_extractor(lineage.quantiser, device, media)
    spec = StreamSpec("units", "int32", extractor.rate_hz, made=extractor.made)
    for role, media, ids in (
        ("query", lineage.query_media, drawn.queries),
        ("pool", lineage.pool_media, drawn.pool),
    ):
        output = _units_path(run.folder, role)
        if _is_whole(output, progress):
            continue
        dataset = dataset_of(media, ids, held_streams(media, extractor.streams))
        kept = run.spool(f"units-{role}", progress.warn)
        with (
            progress.task(f"units of the {role}", len(dataset)),
            store_writer(output, {}, streams={"units": spec}) as writer,
        ):
            for index, values in extraction.compute(
                extractor, dataset, device, progress, batch_seconds=settings.batch_seconds,
                kept=kept,
            ):  # fmt: skip
                units = values[:, 0].astype(np.int32)
                writer.add(dataset.ids[index], streams={"units": units})
        kept.remove()


def _is_whole(output: Path, progress: Progress) -> bool:
    """Whether units are there that an earlier process has computed, undamaged."""
    if not output.exists():
        return False
    try:
        verify(output)
    except DataError as error:
        progress.warn(f"{error}; units are computed again")
        output.unlink()
        return False
    return True


def _units_path(folder: Path, role: str) -> Path:
    return folder / f"units-{role}.h5"


def _batches(
    settings: AdaptSettings, lineage: Lineage, drawn: Drawn, encoder: Encoder, folder: Path
) -> Paired:
    # Checked over both roles: their pictures share batches.
    chosen_streams(encoder, None, [*lineage.query_media, *lineage.pool_media])
    units: dict[str, list[Store]] = {"query": [], "pool": []}
    if "pt" not in settings.without:
        for role in units:
            paths = settings.units or (_units_path(folder, role),)
            units[role] = open_stores(paths)

    def dataset(role: str, media: list[Store], ids: list[str]) -> Dataset:
        streams = held_streams(media, encoder.streams)
        if "pt" not in settings.without:
            streams += ("units",)
        return dataset_of(
            media, ids, streams, others=units[role],
            crop_s=settings.crop_seconds, seed=settings.seed,
        )  # fmt: skip

    queries = dataset("query", lineage.query_media, drawn.queries)
    queries.labels[drawn.label] = drawn.targets
    return Paired(
        queries,
        dataset("pool", lineage.pool_media, drawn.pool),
        drawn.pairs,
        settings.batch_seconds,
        settings.batch_utterances,
        settings.seed,
    )


def _objective(
    settings: AdaptSettings, lineage: Lineage, drawn: Drawn, encoder: Encoder, masking: Masking,
    batches: Paired,
) -> SAAML:  # fmt: skip
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    emotion = Head(HeadConfiguration(encoder.dim, len(drawn.classes), HIDDEN))
    domain = Head(HeadConfiguration(encoder.dim, 2, HIDDEN))
    pretraining = None
    if "pt" not in settings.without:
        made = batches.queries.columns["units"].stores[0].streams["units"].made
        head = checkpoints.load_head(lineage.encoder, encoder, made)
        pretraining = MaskedPrediction(encoder, head, masking)
    return SAAML(
        encoder,
        drawn.label,
        emotion=None if "ec" in settings.without else emotion,
        domain=None if "dc" in settings.without else domain,
        pretraining=pretraining,
        weights={
            "emotion": settings.emotion_weight,
            "domain": settings.domain_weight,
            "pretraining": settings.pretraining_weight,
        },
        learning_rates={
            "encoder": settings.learning_rate,
            "heads": settings.head_learning_rate,
        },
    )


def _summary(output: Path, first: dict[str, float], last: dict[str, float]) -> str:
    words = [
        f"{word} {first[name]:.3f} to {last[name]:.3f}"
        for name, word in (("emotion", "L_EC"), ("domain", "L_DC"), ("masked", "L_PT"))
        if name in first and name in last
    ]
    return f"{output}: " + ", ".join(words)
