"""`pretrain-hubert`: masked prediction of hidden units, one iteration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import EncoderHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import of_role
from avaffect.core.streams import FACE, UNITS
from avaffect.data import artifacts
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_hubert import PretrainHubertSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_hubert(settings: PretrainHubertSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where the units do not belong to the recordings or to --init's head.
    """
    unit_stores = open_stores(settings.units)
    quantiser = _quantiser_of(unit_stores)
    settings = _with_penalty(_with_dropout(_checked(settings), quantiser))
    pretrain(
        "pretrain-hubert",
        settings,
        lambda: _method(settings, unit_stores, quantiser, progress),
        progress,
        [
            *work.store_inputs("units", unit_stores),
            *work.file_inputs("quantiser", [quantiser], "quantiser"),
        ],
    )


def _method(
    settings: PretrainHubertSettings,
    unit_stores: list[Store],
    quantiser: Path | None,
    progress: Progress,
) -> Method:
    if settings.init is not None and not settings.reset_head:
        _check_same_units(settings.init, quantiser)
    from avaffect.recipes.pretraining import hubert

    return hubert.method(settings, unit_stores, quantiser, progress)


def _quantiser_of(unit_stores: list[Store]) -> Path | None:
    """The quantiser that made the units, where it is found; DataError where several did."""
    made = []
    for store in unit_stores:
        if UNITS not in store.streams:
            raise DataError(
                f"{store.path} has no units; make them with "
                "`avaffect extract MEDIA.h5 --model KMEANS.safetensors`"
            )
        made.append(store.streams[UNITS].made)
    if any(entry != made[0] for entry in made):
        raise DataError(
            f"{unit_stores[0].path} and {unit_stores[1].path} hold units of different quantisers"
        )
    parents = of_role(unit_stores[0].provenance, "model")
    return artifacts.locate_parent(parents[0], unit_stores[0].path) if parents else None


def _checked(settings: PretrainHubertSettings) -> PretrainHubertSettings:
    """The settings, where what they say of a new encoder is true of the one that is continued.

    Raises UsageError if it is not, or the options need video and the encoder reads audio alone.
    """
    sees = settings.modality == "av"
    if settings.init is not None:
        header = headers.read(settings.init, EncoderHeader)
        sees = FACE in header.streams
        modality = "av" if sees else "audio"
        if settings.modality not in (None, modality):
            raise UsageError(
                f"--modality {settings.modality}: {settings.init} reads {modality}; leave one out"
            )
        masking = header.model["configuration"].get("masking", "feature")
        if settings.masking not in (None, masking):
            raise UsageError(
                f"--masking {settings.masking}: {settings.init} was made for {masking} masking, "
                "whose embedding has another size: leave --masking out, or train a new encoder "
                "without --init"
            )
    if not sees and (settings.masking == "input" or settings.modality_dropout):
        raise UsageError("--masking input and --modality-dropout are for --modality av")
    return settings


def _with_dropout(
    settings: PretrainHubertSettings, quantiser: Path | None
) -> PretrainHubertSettings:
    """The settings with the default modality dropout of an audiovisual encoder."""
    if settings.init is None:
        sees = settings.modality == "av"
    else:
        sees = headers.read(settings.init, EncoderHeader).model["name"] == "avhubert"
    if settings.modality_dropout is not None or not sees:
        return settings
    of_model = quantiser is not None and of_role(artifacts.describe(quantiser).provenance, "model")
    return replace(settings, modality_dropout=0.5 if of_model else 0.0)


def _with_penalty(settings: PretrainHubertSettings) -> PretrainHubertSettings:
    """The settings with the published weight of the penalty, where none was given.

    Whisper was trained without one: its features go without a norm beside its positions, and
    smaller ones would be others.
    """
    if settings.features_penalty is not None:
        return settings
    name = (
        None if settings.init is None else headers.read(settings.init, EncoderHeader).model["name"]
    )
    return replace(settings, features_penalty=0.0 if name == "whisper" else 10.0)


def _check_same_units(init: Path, quantiser: Path | None) -> None:
    """A head knows the units of its own quantiser; those of another mean something else."""
    known = of_role(artifacts.describe(init).provenance, "quantiser")
    if not known or quantiser is None:
        return
    if artifacts.describe(quantiser).content_id != known[0]["content_id"]:
        raise DataError(
            f"{init} was trained on the units of another quantiser than {quantiser}; pre-train "
            "with --reset-head, or give the units of its own quantiser"
        )
