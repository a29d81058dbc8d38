"""Training of `pretrain-hubert`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, UNITS
from avaffect.data.store.reader import Store
from avaffect.models import avhubert, hubert
from avaffect.models.avhubert import AVHubert
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.objectives.masked_prediction import (
    MaskedPrediction,
    MaskedPredictionConfiguration,
    Masking,
)
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining.kept_objective import Kept, check_units
from avaffect.recipes.pretraining.methods import Method
from avaffect.recipes.pretraining.pixels import face_statistics
from avaffect.settings.pretrain_hubert import PretrainHubertSettings
from avaffect.settings.pretraining import DEFAULT_PRESET

NEW_HEAD = "pre-train with --reset-head"


def method(
    settings: PretrainHubertSettings,
    unit_stores: Sequence[Store],
    quantiser: Path | None,
    progress: Progress,
) -> Method:
    """Masked prediction of the units in these stores, of one quantiser."""
    units = unit_stores[0].streams[UNITS].made

    def objective(encoder: Encoder, kept: Kept | None) -> MaskedPrediction:
        if getattr(encoder.configuration, "padded", False):
            raise DataError(
                f"{settings.init} pads utterances with silence, which masked prediction does not "
                "train: import it without --set padded=true"
            )
        rows = int(units["clusters"])
        if kept is not None and not settings.reset_head:
            check_units(kept, units, NEW_HEAD)
            # An imported head has more rows than units.
            rows = kept.objective.configuration.get("units", rows)
        return MaskedPrediction(encoder, _configuration(settings, encoder, rows))

    return Method(
        kinds=("hubert", "avhubert", "whisper"),
        new_encoder=lambda stores: _new_encoder(settings, stores, progress),
        objective=objective,
        others=unit_stores,
        parents=() if quantiser is None else (quantiser,),
        otherwise=NEW_HEAD,
    )


def _configuration(
    settings: PretrainHubertSettings, encoder: Encoder, rows: int
) -> MaskedPredictionConfiguration:
    assert settings.features_penalty is not None
    return MaskedPredictionConfiguration(
        rows, _masking(settings, encoder), settings.unmasked_weight, settings.features_penalty
    )


def _new_encoder(
    settings: PretrainHubertSettings, stores: Sequence[Store], progress: Progress
) -> Encoder:
    if settings.modality != "av":
        return Hubert(hubert.PRESETS[settings.preset or DEFAULT_PRESET])
    configuration = avhubert.PRESETS[settings.preset or DEFAULT_PRESET]
    if settings.masking is not None:
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
        modality_dropout=(settings.modality_dropout or 0.0) if FACE in encoder.streams else 0.0,
        audio_dropout=settings.audio_dropout,
    )
