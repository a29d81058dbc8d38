"""The configuration of a published encoder: what its shapes say, then what its settings add.

Sizes come from the shapes alone, so that unknown or contradicting settings cannot spoil them; the
settings say what no shape shows (attention heads, the place of normalisation, dropout, strides).
A configuration in the making is a flat dictionary: `{"transformer.heads": 12, ...}`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from avaffect.core.errors import DataError, UsageError
from avaffect.models.avhubert import SOUND_DIM, AVHubertConfiguration
from avaffect.models.hubert import HubertConfiguration

Shapes = Mapping[str, tuple[int, ...]]
Flat = dict[str, Any]
Configuration = HubertConfiguration | AVHubertConfiguration

# The stride of each kernel in the published convolutions over samples.
_STRIDES = {10: 5, 3: 2, 2: 2}
# Published models divide dim among heads of 64, the largest among 16 of 80.
_HEAD_DIM = 64
_EXTRA_LARGE = {1280: 16}

_FAIRSEQ = {
    "transformer.layers": "encoder_layers",
    "transformer.heads": "encoder_attention_heads",
    "transformer.pre_norm": "layer_norm_first",
    "transformer.dropout": "dropout",
    "transformer.attention_dropout": "attention_dropout",
    "transformer.activation_dropout": "activation_dropout",
    "transformer.layerdrop": "encoder_layerdrop",
    "input_dropout": "dropout_input",
    "feature_grad_mult": "feature_grad_mult",
}
_FAIRSEQ_PICTURES = {
    "crop_size": "image_crop_size", "face_mean": "image_mean", "face_std": "image_std",
}  # fmt: skip
_MASKING = {"probability": "mask_prob", "span": "mask_length"}
_AUDIOVISUAL_MASKING = {
    "probability": "mask_prob_audio", "span": "mask_length_audio",
    "video_probability": "mask_prob_image", "video_span": "mask_length_image",
    "modality_dropout": "modality_dropout", "audio_dropout": "audio_dropout",
}  # fmt: skip
_TRANSFORMERS = {
    "transformer.layers": "num_hidden_layers",
    "transformer.heads": "num_attention_heads",
    "transformer.pre_norm": "do_stable_layer_norm",
    "transformer.dropout": "hidden_dropout",
    "transformer.attention_dropout": "attention_dropout",
    "transformer.activation_dropout": "activation_dropout",
    "transformer.layerdrop": "layerdrop",
    "input_dropout": "feat_proj_dropout",
}
# What a model of ours always does: another value is another model.
_FAIRSEQ_FIXED = {
    "activation_fn": "gelu", "modality_fuse": "concat", "sim_type": "cosine",
    "layer_type": "transformer",
}  # fmt: skip
_TRANSFORMERS_FIXED = {
    "hidden_act": "gelu", "feat_extract_activation": "gelu", "feat_proj_layer_norm": True,
    "add_adapter": False, "adapter_attn_dim": None,
    "layer_norm_eps": 1e-5,
}  # fmt: skip
# Of numbers whose names contain this.
_LIMITS = (
    ("dropout", (0.0, 1.0)), ("layerdrop", (0.0, 1.0)), ("epsilon", (1e-12, 1.0)),
    ("face_std", (1e-6, 1e6)), ("heads", (1, 1024)), ("_size", (8, 4096)),
    ("final_dim", (1, 1 << 20)), ("ffn_dim", (1, 1 << 20)), ("transformer.dim", (1, 1 << 16)),
    ("transformer.layers", (1, 200)), ("position_kernel", (1, 4096)),
    ("position_groups", (1, 4096)), ("width", (1, 4096)),
    ("feature_grad_mult", (0.0, 1e6)),
)  # fmt: skip
SAMPLES_PER_FRAME = (320, 640)
_MOST_CONVOLUTIONS = 100
TRANSFORMERS_MODELS = ("hubert", "wav2vec2")


def from_shapes(shapes: Shapes) -> Flat:
    """What the shapes of an encoder (our names) say of it, and the rest as published models have
    it. Raises DataError where they are of no AV-HuBERT, HuBERT or wav2vec 2.0."""
    try:
        return _avhubert(shapes) if is_audiovisual(shapes) else _hubert(shapes)
    except KeyError as error:
        raise DataError(f"its weights are not whole: {error.args[0]} is missing") from error
    except (IndexError, ValueError, ArithmeticError) as error:
        raise DataError("the shapes of its weights are of no model that is known") from error


def is_audiovisual(names: Iterable[str]) -> bool:
    return any(name.startswith("feature_extractor_video.") for name in names)


def build(flat: Flat) -> Configuration:
    """The configuration of a flat dictionary; the kind follows from its names.

    Raises DataError for values that no model has.
    """
    check(flat)
    nested: dict[str, Any] = {"transformer": {}}
    for name, value in flat.items():
        part, _, field = name.rpartition(".")
        (nested[part] if part else nested)[field] = value
    kind = AVHubertConfiguration if "face_mean" in flat else HubertConfiguration
    return kind.from_dict(nested)


def check(flat: Flat) -> None:
    """Raises DataError for a value of the wrong type, or beyond what it can be."""
    example = flatten(AVHubertConfiguration() if "face_mean" in flat else HubertConfiguration())
    for name, value in flat.items():
        expected = example[name]
        if isinstance(expected, tuple):
            right = isinstance(value, (list, tuple)) and len(value) > 0
        elif isinstance(expected, float):
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            right = type(value) is type(expected)
        if not right:
            kind = "list" if isinstance(expected, tuple) else type(expected).__name__
            raise DataError(f"{name} is {value!r}: expected {kind}, such as {json.dumps(expected)}")
        low, high = next((limits for part, limits in _LIMITS if part in name), (None, None))
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if low is not None and not all(low <= number <= high for number in numbers):
            raise DataError(f"{name} is {value!r}: it lies between {low:g} and {high:g}")
    if flat.get("crop_size", 0) > flat.get("face_size", 0):
        raise DataError(f"crop_size {flat['crop_size']} is larger than face_size")
    if "face_mean" not in flat:
        samples = math.prod(stride for _, _, stride in flat["conv_layers"])
        if samples not in SAMPLES_PER_FRAME:
            raise DataError(
                f"its convolutions give a frame every {samples} samples; only 320 and 640 (50 and "
                "25 frames a second) are known here"
            )


def flatten(configuration: Configuration) -> Flat:
    """The inverse of `build`."""
    values = asdict(configuration)
    transformer = values.pop("transformer")
    return values | {f"transformer.{name}": value for name, value in transformer.items()}


def _transformer(shapes: Shapes, pre_norm: bool) -> Flat:
    by_batch = "encoder.pos_conv.1.weight" in shapes
    positions = "encoder.pos_conv.1.weight" if by_batch else "encoder.pos_conv.0.weight_v"
    dim, per_group, kernel = shapes[positions]
    found = (re.match(r"encoder\.layers\.(\d+)\.", name) for name in shapes)
    numbers = {int(match.group(1)) for match in found if match}
    if numbers != set(range(len(numbers))):
        absent = min(set(range(len(numbers))) - numbers)
        raise KeyError(f"encoder.layers.{absent}")
    return {
        "transformer.layers": len(numbers),
        "transformer.dim": dim,
        "transformer.ffn_dim": shapes["encoder.layers.0.fc1.weight"][0],
        "transformer.heads": _EXTRA_LARGE.get(dim, max(1, dim // _HEAD_DIM)),
        "transformer.pre_norm": pre_norm,
        "transformer.position_kernel": kernel,
        "transformer.position_groups": dim // per_group,
        "transformer.position_norm": "batch" if by_batch else "weight",
    }


def _hubert(shapes: Shapes) -> Flat:
    convolutions: list[tuple[int, int, int]] = []
    while f"feature_extractor.conv_layers.{len(convolutions)}.0.weight" in shapes:
        width, _, kernel = shapes[f"feature_extractor.conv_layers.{len(convolutions)}.0.weight"]
        convolutions.append((width, kernel, _STRIDES.get(kernel, 1)))
    if not convolutions:
        raise KeyError("feature_extractor.conv_layers.0.0.weight")
    by_layer = "feature_extractor.conv_layers.0.2.1.weight" in shapes
    return flatten(HubertConfiguration()) | {
        **_transformer(shapes, pre_norm=by_layer),
        "conv_layers": tuple(convolutions),
        "conv_norm": "layer" if by_layer else "group",
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in shapes,
        # Models whose convolutions are normalised by layer were trained on normalised sound.
        "normalise": by_layer,
        **_final_dim(shapes),
    }


def _avhubert(shapes: Shapes) -> Flat:
    transformer = _transformer(shapes, pre_norm=True)
    dim = transformer["transformer.dim"]
    stem = "feature_extractor_video.resnet.frontend3D"
    width, channels = shapes[f"{stem}.0.weight"][:2]
    sound = shapes["feature_extractor_audio.proj.weight"][1]
    if sound != SOUND_DIM:
        raise DataError(f"this AV-HuBERT reads sound of {sound} numbers a frame, not {SOUND_DIM}")
    if shapes["layer_norm.weight"] != (2 * dim,):
        raise DataError("this AV-HuBERT adds its modalities; only those that join them are known")
    mask = shapes.get("mask_emb", (SOUND_DIM,))
    return flatten(AVHubertConfiguration()) | {
        **transformer,
        "channels": channels,
        "width": width,
        "activation": "prelu" if f"{stem}.2.weight" in shapes else "relu",
        "masking": "feature" if mask == (dim,) else "input",
        **_final_dim(shapes),
    }


def _final_dim(shapes: Shapes) -> Flat:
    rows = shapes.get("label_embs_concat")
    return {} if rows is None else {"final_dim": rows[-1]}


def from_fairseq(settings: Mapping[str, Any], audiovisual: bool) -> Flat:
    """What fairseq's `cfg` (or the flat `args` of older files) adds; settings that we do not know
    are ignored. Fine-tuned files hold the pre-trained model's settings under `w2v_args`.

    Raises DataError for a model that is built otherwise than any of ours.
    """
    settings = _pretrained(settings)
    model, task = _part(settings, "model"), _part(settings, "task")
    _refuse_others(model, _FAIRSEQ_FIXED)
    found = _chosen(model, _FAIRSEQ) | _position_norm(model)
    if audiovisual:
        found |= _chosen(task, _FAIRSEQ_PICTURES)
        for name in ("face_mean", "face_std"):
            if name in found:
                found[name] = (float(found[name]),)
        return found
    found |= _chosen(task, {"normalise": "normalize"})
    if "conv_feature_layers" in model:
        found["conv_layers"] = _convolutions(str(model["conv_feature_layers"]))
    return found


def masking_of_fairseq(settings: Mapping[str, Any], audiovisual: bool) -> Flat:
    """What the pre-training hid, as far as `cfg` says: fields of objectives' Masking."""
    model = _part(_pretrained(settings), "model")
    return _chosen(model, _AUDIOVISUAL_MASKING if audiovisual else _MASKING)


def check_model_type(settings: Mapping[str, Any]) -> None:
    """Raises DataError where config.json is of another model than those that are known."""
    kind = settings.get("model_type")
    if kind is not None and kind not in TRANSFORMERS_MODELS:
        raise DataError(
            f"its model_type is {kind!r}: {' and '.join(TRANSFORMERS_MODELS)} are known"
        )


def from_transformers(settings: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> Flat:
    """What config.json and preprocessor_config.json add. Raises DataError as `from_fairseq`."""
    _refuse_others(settings, _TRANSFORMERS_FIXED)
    found = _chosen(settings, _TRANSFORMERS) | _position_norm(settings)
    if settings or preprocessor:
        found["normalise_epsilon"] = 1e-7
    found |= _chosen(preprocessor, {"normalise": "do_normalize"})
    parts = [settings.get(f"conv_{part}") for part in ("dim", "kernel", "stride")]
    if all(isinstance(part, (list, tuple)) for part in parts):
        found["conv_layers"] = tuple(zip(*parts))
    return found


def parse(assignments: Iterable[str], flat: Flat) -> Flat:
    """What `--set NAME=VALUE` says; values are JSON, or words.

    Raises UsageError for a name that this kind of encoder does not have.
    """
    found = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or name not in flat:
            raise UsageError(
                f"--set {assignment}: expected NAME=VALUE, with a name among "
                f"{', '.join(sorted(flat))}"
            )
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _pretrained(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a fine-tuned file, the settings of the model that was pre-trained."""
    inner = _part(settings, "model").get("w2v_args")
    return inner if isinstance(inner, Mapping) else settings


def _part(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a nested cfg; of flat settings, all."""
    part = settings.get(name)
    return part if isinstance(part, Mapping) else settings


def _chosen(settings: Mapping[str, Any], table: Mapping[str, str]) -> Flat:
    """{ours: value} of the settings that are there."""
    return {ours: settings[name] for ours, name in table.items() if settings.get(name) is not None}


def _position_norm(settings: Mapping[str, Any]) -> Flat:
    by_batch = settings.get("conv_pos_batch_norm")
    norm = "batch" if by_batch else "weight"
    return {} if by_batch is None else {"transformer.position_norm": norm}


def _refuse_others(settings: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    for name, value in fixed.items():
        if settings.get(name, value) != value:
            raise DataError(
                f"this model has {name} {settings[name]!r}; only {value!r} is known here"
            )


def _convolutions(text: str) -> tuple[tuple[int, int, int], ...]:
    """fairseq's `[(512, 10, 5)] + [(512, 3, 2)] * 4`, read without running it."""
    try:
        layers = _listed(ast.parse(text.strip(), mode="eval").body)
        return tuple((int(width), int(kernel), int(stride)) for width, kernel, stride in layers)
    except (SyntaxError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"conv_feature_layers {text[:80]!r} are no list of convolutions") from error


def _listed(node: ast.expr) -> list[Any]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _short(_listed(node.left) + _listed(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        times = ast.literal_eval(node.right)
        if not isinstance(times, int) or times > _MOST_CONVOLUTIONS:
            raise ValueError(times)
        return _short(_listed(node.left) * times)
    return _short(list(ast.literal_eval(node)))


def _short(layers: list[Any]) -> list[Any]:
    if len(layers) > _MOST_CONVOLUTIONS:
        raise ValueError(len(layers))
    return layers
