"""The audio encoder of data2vec (Baevski et al. 2022): wav2vec 2.0's, with several convolutions of
positions."""

from __future__ import annotations

from dataclasses import replace

from avaffect.models.published import conversion, hubert
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "data2vec"
# transformers' and fairseq's.
_POSITIONS = ("pos_conv_embed.layers.0.conv.weight", "pos_conv.0.0.weight")


def recognise(source: Source) -> bool | None:
    """Recognised by its name in the settings, or by the names of its convolutions of positions."""
    there = conversion.located(source)
    if there is None or there.is_audiovisual:
        return False
    return source.model_type == "data2vec-audio" or any(
        name.endswith(_POSITIONS) for name in there.tensors
    )


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole data2vec-audio."""
    return conversion.convert(MODEL, source, warn)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published: its convolutions
    have layer norms, and its attention is normalised afterwards all the same."""
    return hubert.from_shapes(shapes) | {"transformer.pre_norm": False}


MODEL = replace(hubert.MODEL, from_shapes=from_shapes)
