"""`train-projector`: SAAML's emotion-aware embedding projector (Eqs. 1-4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.stores import open_stores, warn_of_lacking
from avaffect.recipes.downstream.labelled_data import LabelledUtterances, labelled_utterances
from avaffect.recipes.encoding import choices
from avaffect.settings.train_projector import UNTRAINED, TrainProjectorSettings
from avaffect.settings.training import check_not_accumulated

DEFAULT_EPOCHS = 50


def train_projector(settings: TrainProjectorSettings, progress: Progress = SILENT) -> None:
    """Train a projector on labelled utterances and write it; of the loss none, one without layers.

    Raises DataError where no utterance is labelled, or all bear one class.
    """
    settings = _completed(settings)
    stores = open_stores(settings.media)
    made = work.record(
        "train-projector",
        settings,
        work.store_inputs("media", stores),
        work.file_inputs("encoder", [settings.encoder], "encoder"),
        work.file_inputs("annotations", [settings.annotations], "corpus"),
    )
    choices.check(settings.encoder, settings.layer)
    if training_run.is_done(settings, made, progress, "train a projector"):
        return
    annotations = Annotations.read(settings.annotations, stores)
    utterances = labelled_utterances(
        stores, settings.label, settings.class_map, annotations, progress
    )
    held_out = _development(utterances, settings)
    utterances = _in_split(utterances, settings)
    used = (utterances.classes[index] for index in np.unique(utterances.targets))
    settings.class_map.check(used, str(settings.media[0]), "to train on")
    warn_of_lacking(stores, _classes(utterances, stores), "training utterance", progress)
    from avaffect.recipes.pretraining import projector

    projector.run(settings, stores, utterances, held_out, made, progress)


def _completed(settings: TrainProjectorSettings) -> TrainProjectorSettings:
    """The settings with those defaults that depend on others."""
    check_not_accumulated(settings)
    if settings.loss != UNTRAINED and settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS)
    if settings.statistics is None:
        settings = replace(settings, statistics="none" if settings.train_encoder else "corpus")
    if settings.train_encoder and settings.statistics != "none":
        raise UsageError(
            "--train-encoder changes the features that --statistics would standardise: leave "
            "--statistics out"
        )
    if settings.train_encoder and settings.layer is not None:
        raise UsageError("--layer goes with a frozen encoder, not with --train-encoder")
    return settings


def _classes(utterances: LabelledUtterances, stores: Sequence[Store]) -> list[set[str]]:
    """The classes of the utterances in each store."""
    pairs = list(zip(utterances.ids, utterances.targets.tolist()))
    return [{utterances.classes[t] for i, t in pairs if i in store.rows} for store in stores]


def _in_split(
    utterances: LabelledUtterances, settings: TrainProjectorSettings
) -> LabelledUtterances:
    """Those of the training split, where there are splits."""
    if settings.split == "all" or not any(utterances.splits):
        return utterances
    mask = np.array([split == settings.split for split in utterances.splits])
    if not mask.any():
        raise DataError(f"{settings.media[0]}: no labelled utterance in split {settings.split!r}")
    return utterances.chosen(mask)


def _development(
    utterances: LabelledUtterances, settings: TrainProjectorSettings
) -> LabelledUtterances | None:
    """Those of the split development, which score the embeddings; None where there are none, or
    --split chose another split to train on."""
    mask = np.array([split == "development" for split in utterances.splits])
    return utterances.chosen(mask) if settings.split == "train" and mask.any() else None
