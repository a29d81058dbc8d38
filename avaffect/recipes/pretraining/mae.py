"""The method of `pretrain-mae`: encoders for a corpus or of --init, objective, preview."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from avaffect.core import configuration as configurations
from avaffect.core import seeds
from avaffect.core.errors import UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.streams import WAVEFORM
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.models import cavmae_decoder
from avaffect.models.cavmae import CAVMAE, PRESETS, CAVMAEConfiguration
from avaffect.models.cavmae_extension import extended, extended_decoder
from avaffect.models.encoder import Encoder
from avaffect.objectives.masked_autoencoding import (
    MaskedAutoencoding,
    MaskedAutoencodingConfiguration,
)
from avaffect.recipes.pretraining.kept_objective import Kept
from avaffect.recipes.pretraining.methods import Method
from avaffect.recipes.pretraining.pixels import face_statistics
from avaffect.recipes.pretraining.utterances import training_ids
from avaffect.settings.pretrain_mae import PICTURES, PretrainMaeSettings
from avaffect.signal.features import FEATURE_RATE_HZ, kaldi_filterbank

OBJECTIVE = "masked_autoencoding"
DECODER = "objective.decoder."
# Utterances for the mean and deviation of spectrograms: more would not change them.
SPECTRA = 1000
# Deviation of pixel / 255 where all faces have one colour: a level of it.
LEAST = 1 / 255


def method(settings: PretrainMaeSettings, progress: Progress) -> Method:
    """How `pretrain-mae` pre-trains with these settings."""

    def preview(trained: MaskedAutoencoding, dataset: Dataset) -> None:
        from avaffect.recipes.pretraining.mae_preview import write_preview

        assert settings.preview is not None
        write_preview(settings.preview, trained, dataset, settings.seed, progress)

    return Method(
        kinds=("cavmae",),
        new_encoder=lambda stores: _new_encoder(settings, stores, progress),
        objective=lambda encoder, kept: _objective(settings, encoder, kept),
        convert=lambda encoder, kept: _extended(settings, encoder, kept),
        finish=None if settings.preview is None else preview,
    )


def _new_encoder(
    settings: PretrainMaeSettings, stores: Sequence[Store], progress: Progress
) -> CAVMAE:
    """A fresh encoder with the means and deviations of the faces and spectrograms in the stores."""
    pictures = settings.pictures or PICTURES
    preset = PRESETS[settings.preset or "base"]
    c = replace(
        preset,
        spectrum_frames=_spectrum_frames(settings.seconds, preset),
        pictures=pictures,
        tube=1 if pictures == 1 else 2,
        positions=settings.positions or "trained",
    )
    faces = face_statistics(stores, 3, progress, "ImageNet's pictures")
    if faces is not None:
        c = replace(c, face_mean=_three(faces[0]), face_std=_three(faces[1], LEAST))
    spectra = _spectrum_statistics(settings, stores, c.bands)
    if spectra is not None:
        c = replace(c, spectrum_mean=spectra[0], spectrum_std=spectra[1])
    return CAVMAE(c)


def _spectrum_frames(seconds: float | None, preset: CAVMAEConfiguration) -> int:
    """Whole patches of so many seconds; those of the preset without."""
    if seconds is None:
        return preset.spectrum_frames
    # Rounded first: 0.64 s is four patches of 0.16 s, in binary a little more.
    return preset.patch * math.ceil(round(seconds * FEATURE_RATE_HZ, 6) / preset.patch)


def _three(values: Sequence[float], least: float = 0.0) -> tuple[float, float, float]:
    red, green, blue = (max(value, least) for value in values)
    return red, green, blue


def _spectrum_statistics(
    settings: PretrainMaeSettings, stores: Sequence[Store], bands: int
) -> tuple[float, float] | None:
    """Mean and deviation of the filterbanks of utterances to train on; None where there is no
    sound, or nothing but silence."""
    if not any(WAVEFORM in store.streams for store in stores):
        return None
    ids = training_ids(settings, stores, SILENT)
    drawn = seeds.generator(settings.seed, "spectra").permutation(len(ids))[:SPECTRA]
    dataset = dataset_of(stores, [ids[row] for row in sorted(drawn)], [WAVEFORM])
    count, total, squares = 0, 0.0, 0.0
    for row in range(len(dataset)):
        values = kaldi_filterbank(torch.from_numpy(dataset.read(WAVEFORM, row).copy()), bands)
        count += values.numel()
        total += float(values.double().sum())
        squares += float(values.double().square().sum())
    if not count:
        return None
    mean = total / count
    variance = squares / count - mean**2
    return (mean, variance**0.5) if variance > 1e-6 else None


def _extended(
    settings: PretrainMaeSettings, encoder: Encoder, kept: Kept | None
) -> tuple[Encoder, Kept | None]:
    """The encoder of --init and its objective for the pictures of this run.

    Raises UsageError for --inflate of an encoder of several pictures.
    """
    assert isinstance(encoder, CAVMAE)
    pictures = settings.pictures or encoder.configuration.pictures
    if settings.inflate and encoder.configuration.pictures > 1:
        raise UsageError(
            f"--inflate: {settings.init} reads "
            f"{count_of(encoder.configuration.pictures, 'picture')}, not one"
        )
    if pictures == encoder.configuration.pictures:
        return encoder, kept
    larger = extended(encoder, pictures, settings.inflate)
    if kept is None or kept.objective.name != OBJECTIVE:
        return larger, kept
    read = configurations.read(MaskedAutoencodingConfiguration, kept.objective.configuration)
    own = {
        name.removeprefix(DECODER): value
        for name, value in kept.weights.items()
        if name.startswith(DECODER)
    }
    decoder = extended_decoder(own, read.decoder, larger.configuration, settings.inflate)
    weights = {**kept.weights, **{DECODER + name: value for name, value in decoder.items()}}
    return larger, replace(kept, weights=weights)


def _objective(
    settings: PretrainMaeSettings, encoder: Encoder, kept: Kept | None
) -> MaskedAutoencoding:
    assert isinstance(encoder, CAVMAE)
    if kept is not None and kept.objective.name == OBJECTIVE:
        known = configurations.read(MaskedAutoencodingConfiguration, kept.objective.configuration)
    else:
        known = MaskedAutoencodingConfiguration(_decoder_for(encoder))
    targets, order = settings.targets, settings.video_order
    objective = MaskedAutoencoding(
        encoder,
        MaskedAutoencodingConfiguration(
            known.decoder,
            settings.mask_audio,
            settings.mask_video,
            settings.contrast_weight,
            settings.temperature,
            settings.both_ways,
            known.normalise if targets is None else targets == "normalised",
            order or known.video_order,
        ),
    )
    encoder.recompute = objective.decoder.recompute = settings.recompute
    return objective


def _decoder_for(encoder: CAVMAE) -> cavmae_decoder.DecoderConfiguration:
    """The decoder of the smallest preset that is as wide."""
    fits = [name for name, preset in PRESETS.items() if preset.dim >= encoder.dim]
    return cavmae_decoder.PRESETS[fits[0] if fits else "base"]
