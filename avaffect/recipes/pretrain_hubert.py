"""`pretrain-hubert`: masked prediction of hidden units, one iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import of_role
from avaffect.data import artifacts
from avaffect.data.dataset import Dataset, dataset_of, unique_ids
from avaffect.data.store import Store
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubert
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.objectives.masked_prediction import MaskedPrediction, Masking
from avaffect.recipes import common, encoders, pretraining, training
from avaffect.recipes.fractions import check_fraction
from avaffect.recipes.modality import chosen_streams, frame_counts
from avaffect.recipes.pixels import face_statistics
from avaffect.recipes.pretrain import DEFAULT_EPOCHS
from avaffect.settings.pretrain_hubert import PretrainHubertSettings
from avaffect.training.device import make_fabric
from avaffect.training.loop import train

# The least of which one can be masked.
FEWEST_FRAMES = 2


def pretrain_hubert(settings: PretrainHubertSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where the units do not belong to the recordings or to --init's head.
    """
    check_fraction(settings.fraction)
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS)
    stores = common.open_stores(settings.media)
    unit_stores = common.open_stores(settings.units)
    unique_ids(stores)
    units, quantiser = _units_of(unit_stores)
    settings = _with_dropout(settings, quantiser)
    made = common.record(
        "pretrain-hubert",
        settings,
        [
            *common.store_inputs("media", stores),
            *common.store_inputs("units", unit_stores),
            *common.file_inputs("quantiser", [quantiser]),
            *common.file_inputs("init", [settings.init]),
            *common.file_inputs("only", [settings.only]),
        ],
    )
    if training.is_done(settings, made, progress, "pre-train an encoder"):
        return
    objective = _objective(settings, stores, units, quantiser, progress)
    lineage = pretraining.labelled_speakers(settings.init, quantiser)
    fabric = make_fabric(settings.device, settings.precision)
    metrics: dict[str, dict[str, float]] = {}
    if settings.steps != 0:
        streams = chosen_streams(objective.encoder, None, stores)
        dataset = _dataset(settings, stores, unit_stores, streams, objective.encoder, progress)
        batches = pretraining.bucketed(dataset, settings, progress)
        run = training.open_run(settings, made, fabric)
        outcome = train(objective, batches, settings, run, fabric, progress)
        metrics = {"first": outcome.first, "last": outcome.last}
        found = pretraining.rank(objective.encoder, dataset, settings, progress)
        metrics["features"] = {"effective_rank": found}
    if fabric.global_rank == 0:
        encoders.save_encoder(
            settings.output,
            objective.encoder,
            objective.head,
            provenance=made,
            metrics=metrics,
            labelled_speakers=lineage,
            pretext=asdict(objective.masking),
        )
        training.discard_state(settings.output)
        progress.say(pretraining.told(settings.output, settings.init, metrics, "masked"))


def _units_of(unit_stores: list[Store]) -> tuple[dict[str, Any], Path | None]:
    """How the units were made, and the quantiser that made them where it is found."""
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
    return made[0], quantiser


def _check_same_units(init: Path, quantiser: Path | None) -> None:
    """A head knows the units of its own quantiser; those of another mean something else."""
    known = of_role(artifacts.describe(init).provenance, "quantiser")
    if not known or quantiser is None:
        return
    if artifacts.describe(quantiser).content_id != known[0]["content_id"]:
        raise DataError(
            f"{init} was trained on the units of another quantiser than {quantiser}; pre-train "
            "with --reset-head, or give the units that it knows"
        )


def _objective(
    settings: PretrainHubertSettings,
    stores: Sequence[Store],
    units: dict[str, Any],
    quantiser: Path | None,
    progress: Progress,
) -> MaskedPrediction:
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    if settings.init is None:
        encoder = _new_encoder(settings, stores, progress)
    else:
        encoder = encoders.load_encoder(settings.init, torch.device("cpu"))[0]
        _check_init(settings, encoder)
    fresh = settings.init is None or settings.reset_head
    if not fresh:
        _check_same_units(settings.init, quantiser)
    head = (
        encoders.new_head(encoder, int(units["clusters"]))
        if fresh
        else encoders.load_head(settings.init, encoder, units)
    )
    return MaskedPrediction(
        encoder,
        head,
        _masking(settings, encoder),
        {"unmasked": settings.unmasked_weight, "features_penalty": settings.features_penalty},
    )


def _new_encoder(
    settings: PretrainHubertSettings, stores: Sequence[Store], progress: Progress
) -> Encoder:
    if settings.modality != "av":
        return Hubert(hubert.PRESETS[settings.preset])
    configuration = avhubert.PRESETS[settings.preset]
    configuration = replace(configuration, masking=settings.masking)
    found = face_statistics(stores, configuration.channels, progress)
    if found is not None:
        configuration = replace(configuration, face_mean=found[0], face_std=found[1])
    return AVHubert(configuration)


def _check_init(settings: PretrainHubertSettings, encoder: Encoder) -> None:
    """What is said of a new encoder must be true of the one that is continued."""
    modality = "av" if "face" in encoder.streams else "audio"
    if settings.modality not in (None, modality):
        raise UsageError(
            f"--modality {settings.modality}: {settings.init} reads {modality}; leave one out"
        )
    masking = encoders.masking_kind(encoder)
    if settings.masking not in (None, masking):
        raise UsageError(
            f"--masking {settings.masking}: {settings.init} was made for {masking} masking, whose "
            "embedding has another size: leave --masking out, or train a new encoder without --init"
        )


def _with_dropout(
    settings: PretrainHubertSettings, quantiser: Path | None
) -> PretrainHubertSettings:
    """The settings with the modality dropout of an encoder that sees, where none was given."""
    if settings.init is None:
        sees = settings.modality == "av"
    else:
        sees = artifacts.describe(settings.init).header.get("model", {}).get("name") == "avhubert"
    if settings.modality_dropout is not None or not sees:
        return settings
    of_model = quantiser is not None and of_role(artifacts.describe(quantiser).provenance, "model")
    return replace(settings, modality_dropout=0.5 if of_model else 0.0)


def _masking(settings: PretrainHubertSettings, encoder: Encoder) -> Masking:
    dropout = settings.modality_dropout
    if "face" not in encoder.streams:
        if settings.masking == "input" or dropout:
            raise UsageError("--masking input and --modality-dropout are for --modality av")
        dropout = 0.0
    return Masking(
        settings.mask_probability,
        settings.mask_length,
        kind=encoders.masking_kind(encoder),
        video_probability=settings.video_mask_probability,
        video_span=settings.video_mask_length,
        modality_dropout=dropout,
        audio_dropout=settings.audio_dropout,
    )


def _dataset(
    settings: PretrainHubertSettings,
    stores: list[Store],
    unit_stores: list[Store],
    streams: tuple[str, ...],
    encoder: Encoder,
    progress: Progress,
) -> Dataset:
    """The utterances that can be learned from: others are counted in a warning."""
    ids = pretraining.training_ids(settings, stores, progress)
    with_units = {identifier for store in unit_stores for identifier in store.ids}
    kept = [identifier for identifier in ids if identifier in with_units]
    if not kept:
        raise DataError(
            f"{settings.units[0]} holds no units of the utterances in {settings.media[0]}; "
            "extract them from this store"
        )
    dataset = dataset_of(
        stores, kept, (*streams, "units"), others=unit_stores,
        crop_s=settings.crop_seconds, seed=settings.seed,
    )  # fmt: skip
    frames, units = frame_counts(encoder, dataset), dataset.steps("units")
    usable = (frames > 0) & (units > 0)
    if not (frames[usable] >= FEWEST_FRAMES).any():
        raise DataError(
            f"{settings.media[0]}: every utterance is empty or too short for a frame to be masked"
        )
    if not usable.all() or len(kept) < len(ids):
        progress.warn(
            f"of {len(ids)} utterances {len(ids) - int(usable.sum())} are left out: "
            f"{int((frames == 0).sum())} have no frame of {' or '.join(streams)}, "
            f"{len(ids) - len(kept) + int(((frames > 0) & (units == 0)).sum())} have no units"
        )
    return dataset.subset(np.flatnonzero(usable))
