"""How `pretrain-hubert` trains, once it is known that there is work to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubert
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.objectives.masked_prediction import MaskedPrediction, Masking
from avaffect.recipes.common import training_run
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.encoding.input_streams import chosen_streams, frame_counts
from avaffect.recipes.pretraining import methods
from avaffect.recipes.pretraining.pixels import face_statistics
from avaffect.settings.pretrain_hubert import PretrainHubertSettings
from avaffect.training.device import make_fabric
from avaffect.training.loop import train

# The least of which one can be masked.
FEWEST_FRAMES = 2


def run(
    settings: PretrainHubertSettings, stores: list[Store], unit_stores: list[Store],
    quantiser: Path | None, made: Provenance, progress: Progress,
) -> None:  # fmt: skip
    """Pre-train (or, with no steps, only initialise) an encoder and write it."""
    units = unit_stores[0].streams["units"].made
    objective = _objective(settings, stores, units, progress)
    lineage = methods.labelled_speakers(settings.init, quantiser)
    fabric = make_fabric(settings.device, settings.precision)
    metrics: dict[str, dict[str, float]] = {}
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        if settings.steps != 0:
            streams = chosen_streams(objective.encoder, None, stores)
            dataset = _dataset(settings, stores, unit_stores, streams, objective.encoder, progress)
            batches = methods.bucketed(dataset, settings, progress)
            outcome = train(objective, batches, settings, opened, fabric, progress)
            metrics = {"first": outcome.first, "last": outcome.last}
            found = methods.rank(objective.encoder, dataset, settings, opened, progress, fabric)
            metrics["features"] = {"effective_rank": found}
        if fabric.global_rank == 0:
            opened.check()
            checkpoints.save_encoder(
                settings.output,
                objective.encoder,
                objective.head,
                provenance=made,
                metrics=metrics,
                labelled_speakers=lineage,
                pretext=asdict(objective.masking),
            )
            progress.say(methods.told(settings.output, settings.init, metrics, "masked"))


def _objective(
    settings: PretrainHubertSettings,
    stores: Sequence[Store],
    units: dict[str, Any],
    progress: Progress,
) -> MaskedPrediction:
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    if settings.init is None:
        encoder = _new_encoder(settings, stores, progress)
    else:
        encoder = checkpoints.load_encoder(settings.init, torch.device("cpu"))[0]
    fresh = settings.init is None or settings.reset_head
    head = (
        checkpoints.new_head(encoder, int(units["clusters"]))
        if fresh
        else checkpoints.load_head(settings.init, encoder, units)
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


def _masking(settings: PretrainHubertSettings, encoder: Encoder) -> Masking:
    return Masking(
        settings.mask_probability,
        settings.mask_length,
        kind=checkpoints.masking_kind(encoder),
        video_probability=settings.video_mask_probability,
        video_span=settings.video_mask_length,
        modality_dropout=settings.modality_dropout if "face" in encoder.streams else 0.0,
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
    ids = methods.training_ids(settings, stores, progress)
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
