"""From an encoder to the weights and settings that transformers reads: the inverse of reading them.

HuBERT, wav2vec 2.0, WavLM and data2vec-audio; the encoder of Whisper, whose decoder has no layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.models.encoder import Encoder
from avaffect.models.hubert import Hubert
from avaffect.models.published import configuration, names, whisper
from avaffect.models.whisper import Whisper

# model_type of transformers -> class of its model.
CLASSES = {
    "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model", "wavlm": "WavLMModel",
    "data2vec-audio": "Data2VecAudioModel", "whisper": "WhisperModel",
}  # fmt: skip
_WHISPER = {ours: theirs for theirs, ours in whisper.NAMES["transformers"]}
_FIXED = {
    "hidden_act": "gelu", "feat_extract_activation": "gelu", "feat_proj_layer_norm": True,
    "layer_norm_eps": 1e-5,
}  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """model_type: of transformers; config, preprocessor: content of config.json and
    preprocessor_config.json; tensors: weights by transformers' names; differs: why its frames are
    not exactly those of the encoder, in words; reference: an encoder whose frames they are."""

    model_type: str
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    tensors: dict[str, Tensor]
    differs: tuple[str, ...]
    reference: Encoder


def export(encoder: Encoder, family: str | None) -> Exported:
    """family: of published weights that it was imported from, None where it is not known.

    Raises DataError for an encoder that transformers has no model for.
    """
    if isinstance(encoder, Hubert) and encoder.configuration.front_end == "waveform":
        return _hubert(encoder, family)
    if isinstance(encoder, Whisper):
        return _whisper(encoder)
    raise DataError(
        "transformers has no model for this encoder; HuBERT, wav2vec 2.0, WavLM and data2vec on "
        "the waveform, and Whisper, are written"
    )


def _hubert(encoder: Hubert, family: str | None) -> Exported:
    c, flat = encoder.configuration, configuration.flatten(encoder.configuration)
    kind = _model_type(encoder, family)
    channels, kernels, strides = (list(part) for part in zip(*c.conv_layers))
    config: dict[str, Any] = {
        **{theirs: flat[ours] for ours, theirs in configuration.TRANSFORMERS.items()},
        **_FIXED,
        "conv_dim": channels,
        "conv_kernel": kernels,
        "conv_stride": strides,
        "num_feat_extract_layers": len(channels),
        "conv_bias": c.conv_bias,
        "feat_extract_norm": c.conv_norm,
        "num_conv_pos_embeddings": c.transformer.position_kernel,
        "num_conv_pos_embedding_groups": c.transformer.position_groups,
    }
    if kind == "hubert":
        config["conv_pos_batch_norm"] = c.transformer.position_norm == "batch"
    if kind == "data2vec-audio":
        config["num_conv_pos_embeddings"] = c.transformer.position_layers
        config["conv_pos_kernel_size"] = c.transformer.position_kernel
    if kind == "wavlm":
        config["num_buckets"] = c.transformer.relative_buckets
    else:
        del config["max_bucket_distance"]
    preprocessor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE_HZ,
        "padding_value": 0.0,
        "do_normalize": c.normalise,
        "return_attention_mask": c.conv_norm == "layer",
    }
    differs = []
    reference: Encoder = encoder
    if c.normalise and c.normalise_epsilon != configuration.EPSILON:
        differs.append(
            f"{configuration.EPSILON:g} is added to the variance of a waveform, as transformers "
            f"has it, where this encoder adds {c.normalise_epsilon:g}"
        )
        reference = _with(encoder, replace(c, normalise_epsilon=configuration.EPSILON))
    tensors = {
        names.to_transformers(name, parametrized=True, positions=c.transformer.position_norm): value
        for name, value in encoder.state_dict().items()
    }
    return _exported(kind, config, preprocessor, tensors, tuple(differs), reference)


def _model_type(encoder: Hubert, family: str | None) -> str:
    """Raises DataError for what no class of transformers has."""
    t = encoder.configuration.transformer
    if t.relative_buckets:
        kind = "wavlm"
    elif t.position_norm == "layer":
        kind = "data2vec-audio"
    else:
        kind = "wav2vec2" if family == "wav2vec2" else "hubert"
    fits = {
        "wavlm": t.position_norm == "weight",
        "data2vec-audio": encoder.configuration.conv_norm == "layer" and not t.pre_norm,
        "hubert": True,
        "wav2vec2": t.position_norm == "weight",
    }
    if not fits[kind]:
        raise DataError(f"transformers has no {kind} with these norms")
    return kind


def _whisper(encoder: Whisper) -> Exported:
    c, flat = encoder.configuration, configuration.flatten(encoder.configuration)
    config: dict[str, Any] = {
        **{theirs: flat[ours] for ours, theirs in whisper.SETTINGS["transformers"].items()},
        "activation_function": "gelu",
        "scale_embedding": False,
        # Of the decoder, which no encoder has, as little as a model may have.
        "decoder_layers": 0, "decoder_attention_heads": c.transformer.heads,
        "decoder_ffn_dim": 1, "max_target_positions": 1, "vocab_size": 1, "pad_token_id": 0,
        "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0,
        "suppress_tokens": None, "begin_suppress_tokens": None,
    }  # fmt: skip
    preprocessor = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": c.bands,
        "sampling_rate": SAMPLE_RATE_HZ,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": round(c.positions / encoder.rate_hz),
        "padding_value": 0.0,
        "do_normalize": False,
        "return_attention_mask": False,
    }
    dim = encoder.dim
    tensors = {
        f"encoder.{names.translate(name, _WHISPER.items())}": value
        for name, value in encoder.state_dict().items()
        if name != "mask_emb"
    }
    tensors |= {
        "decoder.embed_tokens.weight": torch.zeros(1, dim),
        "decoder.embed_positions.weight": torch.zeros(1, dim),
        "decoder.layer_norm.weight": torch.ones(dim),
        "decoder.layer_norm.bias": torch.zeros(dim),
    }
    differs: tuple[str, ...] = ()
    reference: Encoder = encoder
    if not c.padded:
        differs = (
            "an utterance is padded with silence to whole windows, as transformers has it, where "
            "this encoder reads it alone",
        )
        reference = _with(encoder, replace(c, padded=True))
    return _exported("whisper", config, preprocessor, tensors, differs, reference)


def _with(encoder: Encoder, changed: Any) -> Encoder:
    """The same weights with another configuration."""
    other = type(encoder)(changed)
    other.load_state_dict(encoder.state_dict())
    return other.eval()


def _exported(
    kind: str, config: dict[str, Any], preprocessor: dict[str, Any],
    tensors: Mapping[str, Tensor], differs: tuple[str, ...], reference: Encoder,
) -> Exported:  # fmt: skip
    whole = {
        "model_type": kind, "architectures": [CLASSES[kind]], "dtype": "float32",
        "torch_dtype": "float32", **config,
    }  # fmt: skip
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return Exported(kind, whole, preprocessor, kept, differs, reference)
