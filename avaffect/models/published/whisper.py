"""Whisper (Radford et al. 2023), of transformers or as OpenAI published it: the encoder alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.models.published import configuration, conversion, names
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.conversion import Kind
from avaffect.models.published.names import Layout
from avaffect.models.published.source import Converted, Source, Warn
from avaffect.models.whisper import Whisper, WhisperConfiguration

TITLE = "Whisper"
_HEAD_DIM = 64
# Publisher -> names that identify an encoder: the first, and one of the others.
_MARKERS = {
    "transformers": ("conv1.weight", "embed_positions.weight", "layers.0.fc1.weight"),
    "openai": ("conv1.weight", "positional_embedding", "blocks.0.mlp.0.weight"),
}
_DECODER = re.compile(r"(^|\.)decoder\.(layers|blocks)\.\d+\.")
# (theirs, ours), with N for any number.
_CONVOLUTIONS = (("conv1", "conv1"), ("conv2", "conv2"))
NAMES = {
    "transformers": (
        *_CONVOLUTIONS,
        ("embed_positions.weight", "positions"),
        ("layer_norm", "encoder.layer_norm"),
        *(
            (f"layers.N.{part}", f"encoder.layers.N.{part}")
            for part in (
                "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
                "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm",
            )
        ),
    ),
    "openai": (
        *_CONVOLUTIONS,
        ("positional_embedding", "positions"),
        ("ln_post", "encoder.layer_norm"),
        *(
            (f"blocks.N.{theirs}", f"encoder.layers.N.{ours}")
            for theirs, ours in (
                ("attn.query", "self_attn.q_proj"), ("attn.key", "self_attn.k_proj"),
                ("attn.value", "self_attn.v_proj"), ("attn.out", "self_attn.out_proj"),
                ("attn_ln", "self_attn_layer_norm"), ("mlp.0", "fc1"), ("mlp.2", "fc2"),
                ("mlp_ln", "final_layer_norm"),
            )
        ),
    ),
}  # fmt: skip
SETTINGS = {
    "transformers": {
        "transformer.dim": "d_model",
        "transformer.ffn_dim": "encoder_ffn_dim",
        "transformer.layers": "encoder_layers",
        "transformer.heads": "encoder_attention_heads",
        "transformer.dropout": "dropout",
        "transformer.attention_dropout": "attention_dropout",
        "transformer.activation_dropout": "activation_dropout",
        "transformer.layerdrop": "encoder_layerdrop",
        "bands": "num_mel_bins",
        "positions": "max_source_positions",
    },
    "openai": {
        "transformer.dim": "n_audio_state",
        "transformer.layers": "n_audio_layer",
        "transformer.heads": "n_audio_head",
        "bands": "n_mels",
        "positions": "n_audio_ctx",
    },
}
_FIXED = {"activation_function": "gelu", "scale_embedding": False}
_FIXED_OF_SOUND = {"n_fft": 400, "hop_length": 160, "do_normalize": False}


def recognise(source: Source) -> bool | None:
    """Recognised by its settings, by the names of its convolutions and positions, or by a decoder
    without an encoder."""
    if source.model_type == "whisper" or _layout(source.tensors) is not None:
        return True
    lone = source.model_type == "" and conversion.located(source) is None
    return lone and any(_DECODER.search(name) for name in source.tensors)


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole encoder of Whisper."""
    configuration.check_model_type(source.settings, ("whisper",))
    layout = _layout(source.tensors)
    if layout is None:
        decoder = any(_DECODER.search(name) for name in source.tensors)
        raise DataError(
            "it holds a decoder without its encoder; avaffect reads the encoder"
            if decoder
            else "its settings are Whisper's, but its "
            f"{count_of(len(source.tensors), 'weight is', 'weights are')} not"
        )
    tensors, left, unexpected = _sort(source.tensors, layout)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    encoder = conversion.built(KIND, shapes, _said(source, layout), source.assignments, warn)
    _check_bands(source, encoder.configuration.bands)
    conversion.load(encoder, tensors, unexpected)
    conversion.try_out(encoder)
    return Converted(encoder, layout, None, 0, {}, left)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published."""
    dim, bands, _ = shapes["conv1.weight"]
    return configuration.flatten(WhisperConfiguration()) | {
        **configuration.layers_of(shapes),
        "transformer.dim": dim,
        "transformer.heads": max(1, dim // _HEAD_DIM),
        "bands": bands,
        "positions": shapes["positions"][0],
    }


def _layout(tensors: Mapping[str, Tensor]) -> Layout | None:
    """The publisher of the first encoder's names, and their prefix; None where there is no encoder
    of Whisper."""
    best, most = None, 1
    for writer, markers in _MARKERS.items():
        for name in tensors:
            prefix = name.removesuffix(markers[0])
            if prefix != name and (prefix == "" or prefix.endswith(".")):
                found = sum(prefix + marker in tensors for marker in markers)
                if found > most:
                    best, most = Layout(writer, prefix), found
    return best


def _sort(
    tensors: Mapping[str, Tensor], layout: Layout
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """The encoder's weights under our names; names of weights beside the encoder, and unknown
    names."""
    found, left, unexpected = {}, [], []
    for name, value in tensors.items():
        inner = name.removeprefix(layout.prefix)
        if not name.startswith(layout.prefix) or _DECODER.search(inner):
            left.append(name)
            continue
        try:
            ours = names.translate(inner, NAMES[layout.writer])
        except KeyError:
            unexpected.append(name)
        else:
            found[ours] = value.float() if value.is_floating_point() else value
    return found, left, unexpected


def _said(source: Source, layout: Layout) -> Flat:
    configuration.refuse_others(source.settings, _FIXED)
    configuration.refuse_others(source.preprocessor, _FIXED_OF_SOUND)
    found = configuration.chosen(source.settings, SETTINGS[layout.writer])
    return found | {"transformer.pre_norm": True}


def _check_bands(source: Source, bands: int) -> None:
    declared = source.preprocessor.get("feature_size", bands)
    if declared != bands:
        raise DataError(
            f"its weights read {count_of(bands, 'mel band')}, but preprocessor_config.json has "
            f"{declared}"
        )


KIND = Kind(WhisperConfiguration, Whisper, from_shapes)
