"""HuBERT (Hsu et al. 2021), of fairseq, transformers or torchaudio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.models.hubert import Hubert, HubertConfiguration
from avaffect.models.published import configuration, conversion
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.conversion import Model
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "HuBERT"
SAMPLES_PER_FRAME = (320, 640)
# The stride of each kernel in the published convolutions over samples.
_STRIDES = {10: 5, 3: 2, 2: 2}
_MASKING = {"probability": "mask_prob", "span": "mask_length"}


def recognise(source: Source) -> bool | None:
    """Recognised by its name in the settings or in the prefix of its weights, or by a head that
    predicts units."""
    there = conversion.located(source)
    if there is None or there.is_audiovisual:
        return False
    heads = any("label_emb" in name for name in there.tensors)
    return "hubert" in source.model_type + there.layout.prefix or heads or None


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole HuBERT."""
    return conversion.convert(MODEL, source, warn)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published."""
    convolutions: list[tuple[int, int, int]] = []
    while f"feature_extractor.conv_layers.{len(convolutions)}.0.weight" in shapes:
        width, _, kernel = shapes[f"feature_extractor.conv_layers.{len(convolutions)}.0.weight"]
        convolutions.append((width, kernel, _STRIDES.get(kernel, 1)))
    if not convolutions:
        raise KeyError("feature_extractor.conv_layers.0.0.weight")
    by_layer = "feature_extractor.conv_layers.0.2.1.weight" in shapes
    return configuration.flatten(HubertConfiguration()) | {
        **configuration.transformer_of(shapes, pre_norm=by_layer),
        "conv_layers": tuple(convolutions),
        "conv_norm": "layer" if by_layer else "group",
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in shapes,
        # Models whose convolutions have layer norms were trained on normalised audio.
        "normalise": by_layer,
        **configuration.final_dim(shapes),
    }


def _from_fairseq(settings: Mapping[str, Any]) -> Flat:
    found = configuration.from_fairseq(settings)
    task = configuration.part_of(settings, "task")
    found |= configuration.chosen(task, {"normalise": "normalize"})
    model = configuration.part_of(settings, "model")
    if "conv_feature_layers" in model:
        found["conv_layers"] = configuration.convolutions(str(model["conv_feature_layers"]))
    return found


def _check(flat: Flat) -> None:
    samples = math.prod(stride for _, _, stride in flat["conv_layers"])
    if samples not in SAMPLES_PER_FRAME:
        raise DataError(
            f"its convolutions give a frame every {count_of(samples, 'sample')}; only 320 and 640 "
            "(50 and 25 frames a second) are known here"
        )


MODEL = Model(HubertConfiguration, Hubert, from_shapes, _from_fairseq, _MASKING, check=_check)
