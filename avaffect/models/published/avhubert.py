"""AV-HuBERT (Shi et al. 2022), of fairseq."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avaffect.core.errors import DataError
from avaffect.models.avhubert import AUDIO_DIM, AVHubert, AVHubertConfiguration
from avaffect.models.published import configuration, conversion
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.conversion import Model
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "AV-HuBERT"
_PICTURES = {
    "crop_size": "image_crop_size", "face_mean": "image_mean", "face_std": "image_std",
}  # fmt: skip
_MASKING = {
    "probability": "mask_prob_audio", "span": "mask_length_audio",
    "video_probability": "mask_prob_image", "video_span": "mask_length_image",
    "modality_dropout": "modality_dropout", "audio_dropout": "audio_dropout",
}  # fmt: skip


def recognise(source: Source) -> bool:
    """Recognised by its front-end for video."""
    there = conversion.located(source)
    return there is not None and there.is_audiovisual


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole AV-HuBERT."""
    return conversion.convert(_MODEL, source, warn)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published."""
    transformer = configuration.transformer_of(shapes, pre_norm=True)
    dim = transformer["transformer.dim"]
    stem = "feature_extractor_video.resnet.frontend3D"
    width, channels = shapes[f"{stem}.0.weight"][:2]
    sound = shapes["feature_extractor_audio.proj.weight"][1]
    if sound != AUDIO_DIM:
        raise DataError(f"this AV-HuBERT has audio frames of size {sound}; expected {AUDIO_DIM}")
    if shapes["layer_norm.weight"] != (2 * dim,):
        raise DataError("this AV-HuBERT adds its modalities; only concatenation is supported")
    mask = shapes.get("mask_emb", (AUDIO_DIM,))
    return configuration.flatten(AVHubertConfiguration()) | {
        **transformer,
        "channels": channels,
        "width": width,
        "activation": "prelu" if f"{stem}.2.weight" in shapes else "relu",
        "masking": "feature" if mask == (dim,) else "input",
        **configuration.final_dim(shapes),
    }


def _from_fairseq(settings: Mapping[str, Any]) -> Flat:
    found = configuration.from_fairseq(settings)
    found |= configuration.chosen(configuration.part_of(settings, "task"), _PICTURES)
    for name in ("face_mean", "face_std"):
        if name in found:
            found[name] = (float(found[name]),)
    return found


def _check(flat: Flat) -> None:
    if flat["crop_size"] > flat["face_size"]:
        raise DataError(f"crop_size {flat['crop_size']} is larger than face_size")


_MODEL = Model(AVHubertConfiguration, AVHubert, from_shapes, _from_fairseq, _MASKING, check=_check)
