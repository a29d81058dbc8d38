"""`pretrain-hubert`: masked prediction of hidden units, one iteration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import of_role
from avaffect.data import artifacts
from avaffect.data.batches import Bucketed, useful_share
from avaffect.data.dataset import Dataset, dataset_of, unique_ids
from avaffect.data.store import Store
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import PRESETS, Hubert
from avaffect.objectives.masked_prediction import MaskedPrediction
from avaffect.recipes import common, extraction, training
from avaffect.settings.pretrain_hubert import PretrainHubertSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import train

DEFAULT_EPOCHS = 50


def pretrain_hubert(settings: PretrainHubertSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where the units do not belong to the recordings or to --init's head.
    """
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS)
    stores = common.open_stores(settings.media)
    unit_stores = common.open_stores(settings.units)
    unique_ids(stores)
    clusters, quantiser = _quantiser_of(unit_stores)
    made = common.record(
        "pretrain-hubert",
        settings,
        [
            *common.store_inputs("media", stores),
            *common.store_inputs("units", unit_stores),
            *common.file_inputs("quantiser", [quantiser]),
            *common.file_inputs("init", [settings.init]),
        ],
    )
    if common.is_done(settings, made, progress, "pre-train an encoder"):
        return
    objective = _objective(settings, clusters)
    lineage: list[str] = []
    if settings.init is not None:
        lineage = artifacts.describe(settings.init).header.get("labelled_speakers", [])
    fabric = make_fabric(settings.device, settings.precision)
    metrics: dict[str, dict[str, float]] = {}
    if settings.steps != 0:
        dataset = _dataset(settings, stores, unit_stores, objective.encoder.streams)
        batches = _batches(dataset, settings, progress)
        run = training.open_run(settings, made, fabric)
        outcome = train(objective, batches, settings, run, fabric, progress)
        metrics = {"first": outcome.first, "last": outcome.last}
    if fabric.global_rank == 0:
        save_encoder(
            settings.output,
            objective.encoder,
            objective.head_state(),
            provenance=made,
            metrics=metrics,
            labelled_speakers=lineage,
        )
        training.discard_state(settings.output)
        progress.say(training.summary(settings.output, metrics, "masked"))


def save_encoder(output: Path, encoder: Encoder, head: dict[str, Tensor], **facts: object) -> str:
    """Write an encoder with its prediction head, under published names; returns the content id."""
    return checkpoint.save(
        output,
        "encoder",
        {**encoder.state_dict(), **head},
        model=registry.describe(encoder),
        preprocessing={
            "streams": list(encoder.streams),
            "rate_hz": encoder.rate_hz,
            "sample_rate": 16000,
        },
        **facts,
    )


def _quantiser_of(unit_stores: list[Store]) -> tuple[int, Path | None]:
    """The number of clusters, and the quantiser that made the units where it is found."""
    made = []
    for store in unit_stores:
        if "units" not in store.streams:
            raise DataError(
                f"{store.path} holds no units; make them with "
                "`avaffect extract MEDIA.h5 --model KMEANS.safetensors`"
            )
        made.append(store.streams["units"].made)
    if any(entry != made[0] for entry in made):
        raise DataError(
            f"{unit_stores[0].path} and {unit_stores[1].path} hold units of different quantisers"
        )
    parents = of_role(unit_stores[0].provenance, "model")
    quantiser = artifacts.locate_parent(parents[0], unit_stores[0].path) if parents else None
    return int(made[0]["clusters"]), quantiser


def _objective(settings: PretrainHubertSettings, clusters: int) -> MaskedPrediction:
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    options = {
        "mask_probability": settings.mask_probability,
        "mask_length": settings.mask_length,
        "unmasked_weight": settings.unmasked_weight,
        "features_penalty": settings.features_penalty,
    }
    if settings.init is None:
        return MaskedPrediction(Hubert(PRESETS[settings.preset]), clusters, **options)
    encoder, _ = extraction.load_encoder(settings.init, torch.device("cpu"))
    objective = MaskedPrediction(encoder, clusters, **options)
    if not settings.reset_head:
        restore_head(objective, settings.init)
    return objective


def restore_head(objective: MaskedPrediction, path: Path) -> None:
    """Give the objective the prediction head in an encoder's checkpoint.

    Raises DataError where the checkpoint has none, or one for another number of units.
    """
    tensors = checkpoint.load(path, expect="encoder")[1]
    own = objective.head_state()
    for name, tensor in own.items():
        if name not in tensors:
            raise DataError(f"{path} has no prediction head ({name}); use --reset-head")
        if tensors[name].shape != tensor.shape:
            raise DataError(
                f"{path} predicts {tensors[name].shape[0]} units, these are {tensor.shape[0]}; "
                "use --reset-head, or the units that it was trained on"
            )
        with torch.no_grad():
            tensor.copy_(tensors[name])


def _dataset(
    settings: PretrainHubertSettings,
    stores: list[Store],
    unit_stores: list[Store],
    streams: tuple[str, ...],
) -> Dataset:
    ids = common.chosen_ids(stores, common.in_split(stores, settings.split))
    with_units = {identifier for store in unit_stores for identifier in store.ids}
    kept = [identifier for identifier in ids if identifier in with_units]
    if not kept:
        raise DataError(
            f"{settings.units[0]} holds no units of the utterances in {settings.media[0]}; "
            "extract them from this store"
        )
    return dataset_of(
        stores, kept, (*streams, "units"), others=unit_stores,
        crop_s=settings.crop_seconds, seed=settings.seed,
    )  # fmt: skip


def _batches(dataset: Dataset, settings: PretrainHubertSettings, progress: Progress) -> Bucketed:
    durations = dataset.batch_durations()
    if not np.any(durations > 0):
        raise DataError(f"{settings.media[0]}: every utterance is empty")
    batches = Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed)
    plan = batches.plan(0)
    progress.say(
        f"{len(dataset)} utterances, {dataset.durations().sum() / 3600:.2f} h, {len(plan)} batches "
        f"an epoch, {useful_share(durations, plan):.1%} of their frames useful"
    )
    return batches
