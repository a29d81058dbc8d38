"""WavLM (Chen et al. 2022): HuBERT's encoder with gated biases of attention by distance."""

from __future__ import annotations

from dataclasses import replace

from avaffect.models.published import conversion, hubert
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "WavLM"
# Microsoft's, and transformers'.
_BIASES = ("relative_attention_bias.weight", "rel_attn_embed.weight")
_OURS = "encoder.layers.0.self_attn.relative_attention_bias.weight"


def recognise(source: Source) -> bool | None:
    """Recognised by its name in the settings, or by the names of its biases."""
    there = conversion.located(source)
    if there is None or there.is_audiovisual:
        return False
    return source.model_type == "wavlm" or any(n.endswith(_BIASES) for n in there.tensors)


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole WavLM."""
    return conversion.convert(MODEL, source, warn)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published."""
    return hubert.from_shapes(shapes) | {"transformer.relative_buckets": shapes[_OURS][0]}


MODEL = replace(hubert.MODEL, from_shapes=from_shapes)
