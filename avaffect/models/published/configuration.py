"""The configuration of a published encoder: from its shapes first, then from its settings.

Sizes come from the shapes alone, so that unknown or contradicting settings cannot change them; the
settings give values without a shape (attention heads, the place of normalisation, dropout,
strides). A configuration under construction is a flat dictionary: `{"transformer.heads": 12, ...}`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from avaffect.core.configuration import read
from avaffect.core.errors import DataError, UsageError

Shapes = Mapping[str, tuple[int, ...]]
Flat = dict[str, Any]

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
    "transformer.relative_distance": "max_distance",
    "input_dropout": "dropout_input",
    "feature_grad_mult": "feature_grad_mult",
}
TRANSFORMERS = {
    "transformer.dim": "hidden_size",
    "transformer.ffn_dim": "intermediate_size",
    "transformer.layers": "num_hidden_layers",
    "transformer.heads": "num_attention_heads",
    "transformer.pre_norm": "do_stable_layer_norm",
    "transformer.dropout": "hidden_dropout",
    "transformer.attention_dropout": "attention_dropout",
    "transformer.activation_dropout": "activation_dropout",
    "transformer.layerdrop": "layerdrop",
    "transformer.relative_distance": "max_bucket_distance",
    "input_dropout": "feat_proj_dropout",
}
# What transformers adds to the variance of a waveform.
EPSILON = 1e-7
# Settings with a single value in our models: another value is another model.
_FAIRSEQ_FIXED = {
    "activation_fn": "gelu", "modality_fuse": "concat", "sim_type": "cosine",
    "layer_type": "transformer",
}  # fmt: skip
_TRANSFORMERS_FIXED = {
    "hidden_act": "gelu", "feat_extract_activation": "gelu", "feat_proj_layer_norm": True,
    "add_adapter": False, "adapter_attn_dim": None,
    "layer_norm_eps": 1e-5,
}  # fmt: skip
# For numbers whose names contain this.
_LIMITS = (
    ("dropout", (0.0, 1.0)), ("layerdrop", (0.0, 1.0)), ("epsilon", (1e-12, 1.0)),
    ("face_std", (1e-6, 1e6)), ("heads", (1, 1024)), ("_size", (8, 4096)),
    ("final_dim", (1, 1 << 20)), ("ffn_dim", (1, 1 << 20)), ("transformer.dim", (1, 1 << 16)),
    ("transformer.layers", (1, 200)), ("position_kernel", (1, 4096)),
    ("position_groups", (1, 4096)), ("position_layers", (1, 100)), ("width", (1, 4096)),
    ("feature_grad_mult", (0.0, 1e6)), ("relative", (0, 1 << 16)),
    ("bands", (1, 1024)), ("positions", (1, 1 << 16)), ("rate_hz", (1, 240)),
)  # fmt: skip
_MOST_CONVOLUTIONS = 100
# A kernel of the convolutions of positions, by their norm.
_POSITIONS = {
    "weight": "encoder.pos_conv.0.weight_v",
    "batch": "encoder.pos_conv.1.weight",
    "layer": "encoder.pos_conv.0.0.weight",
}
# Sizes that the shapes of the weights give.
_SIZES = ("transformer.dim", "transformer.ffn_dim", "bands", "positions", "top")
TRANSFORMERS_MODELS = (
    "data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm",
)  # fmt: skip


def read_shapes(from_shapes: Callable[[Shapes], Flat], shapes: Shapes) -> Flat:
    """The result of `from_shapes` for an encoder's shapes (our names). Raises DataError where they
    are not those of a whole model."""
    try:
        return from_shapes(shapes)
    except KeyError as error:
        raise DataError(f"its weights are not whole: {error.args[0]} is missing") from error
    except (IndexError, ValueError, ArithmeticError) as error:
        raise DataError("the shapes of its weights are of no model that is known") from error


def check_sizes(given: Flat, flat: Flat) -> None:
    """Raises DataError where settings give sizes other than those of the shapes, `flat`."""
    wrong = [
        f"{name} is {given[name]!r} there, and {flat[name]} by its weights"
        for name in _SIZES
        if name in given and name in flat and given[name] != flat[name]
    ]
    if wrong:
        raise DataError(f"its settings are of another model: {'; '.join(wrong)}")


def build(flat: Flat, kind: Any, check_family: Callable[[Flat], None] = lambda flat: None) -> Any:
    """The configuration, of the class `kind`, of a flat dictionary.

    Raises DataError for values that no model has; `check_family` for those that none of its family
    has.
    """
    check(flat, kind)
    check_family(flat)
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        part, _, field = name.rpartition(".")
        (nested.setdefault(part, {}) if part else nested)[field] = value
    return read(kind, nested)


def check(flat: Flat, kind: Any) -> None:
    """Raises DataError for a value of the wrong type or out of its range."""
    example = flatten(kind())
    for name, value in flat.items():
        expected = example[name]
        if isinstance(expected, tuple):
            right = isinstance(value, (list, tuple)) and (len(value) > 0 or not expected)
        elif isinstance(expected, float):
            right = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            right = type(value) is type(expected)
        if not right:
            word = "list" if isinstance(expected, tuple) else type(expected).__name__
            raise DataError(f"{name} is {value!r}: expected {word}, such as {json.dumps(expected)}")
        low, high = next((limits for part, limits in _LIMITS if part in name), (None, None))
        if isinstance(value, str):
            continue
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if low is not None and not all(low <= number <= high for number in numbers):
            raise DataError(f"{name} is {value!r}: it lies between {low:g} and {high:g}")


def flatten(configuration: Any) -> Flat:
    """The inverse of `build`."""
    values = asdict(configuration)
    transformer = values.pop("transformer", {})
    return values | {f"transformer.{name}": value for name, value in transformer.items()}


def transformer_of(shapes: Shapes, pre_norm: bool) -> Flat:
    """The transformer's configuration from the shapes. Raises KeyError where one is absent."""
    stacked = sum(f"encoder.pos_conv.{n}.0.weight" in shapes for n in range(_MOST_CONVOLUTIONS))
    by_batch = "encoder.pos_conv.1.weight" in shapes
    norm = "layer" if stacked else "batch" if by_batch else "weight"
    dim, per_group, kernel = shapes[_POSITIONS[norm]]
    return {
        **layers_of(shapes),
        "transformer.dim": dim,
        "transformer.heads": _EXTRA_LARGE.get(dim, max(1, dim // _HEAD_DIM)),
        "transformer.pre_norm": pre_norm,
        "transformer.position_kernel": kernel,
        "transformer.position_groups": dim // per_group,
        "transformer.position_norm": norm,
        "transformer.position_layers": max(1, stacked),
    }


def layers_of(shapes: Shapes) -> Flat:
    """Number and width of the layers. Raises KeyError where one is absent."""
    found = (re.match(r"encoder\.layers\.(\d+)\.", name) for name in shapes)
    numbers = {int(match.group(1)) for match in found if match}
    if numbers != set(range(len(numbers))):
        absent = min(set(range(len(numbers))) - numbers)
        raise KeyError(f"encoder.layers.{absent}")
    return {
        "transformer.layers": len(numbers),
        "transformer.ffn_dim": shapes["encoder.layers.0.fc1.weight"][0],
    }


def final_dim(shapes: Shapes) -> Flat:
    """Width of the prediction head's space, where there is a head."""
    rows = shapes.get("label_embs_concat")
    return {} if rows is None else {"final_dim": rows[-1]}


def from_fairseq(settings: Mapping[str, Any]) -> Flat:
    """Values of fairseq's `cfg` (or the flat `args` of older files) for every family; unknown
    settings are ignored.

    Raises DataError for a model that differs from all of ours.
    """
    model = part_of(settings, "model")
    refuse_others(model, _FAIRSEQ_FIXED)
    return chosen(model, _FAIRSEQ) | _position_norm(model)


def masking_of_fairseq(settings: Mapping[str, Any], table: Mapping[str, str]) -> Flat:
    """Masking of the pre-training, as far as `cfg` has it: fields of objectives' Masking by
    `table`."""
    return chosen(part_of(pretrained(settings), "model"), table)


def check_model_type(
    settings: Mapping[str, Any], known: Sequence[str] = TRANSFORMERS_MODELS
) -> None:
    """Raises DataError where config.json is of another model than those that have such weights."""
    kind = settings.get("model_type")
    if kind is not None and kind not in known:
        raise DataError(f"its model_type is {kind!r}, but its weights are {' or '.join(known)}'s")


def from_transformers(settings: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> Flat:
    """Values of config.json and preprocessor_config.json. Raises DataError as `from_fairseq`."""
    refuse_others(settings, _TRANSFORMERS_FIXED)
    found = chosen(settings, TRANSFORMERS) | _position_norm(settings)
    if settings or preprocessor:
        found["normalise_epsilon"] = EPSILON
    found |= chosen(preprocessor, {"normalise": "do_normalize"})
    parts = [settings.get(f"conv_{part}") for part in ("dim", "kernel", "stride")]
    if all(isinstance(part, (list, tuple)) for part in parts):
        found["conv_layers"] = tuple(zip(*parts))
    return found


def parse(assignments: Iterable[str], flat: Flat) -> Flat:
    """Values of `--set NAME=VALUE`: JSON, or words.

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


def pretrained(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the pre-trained model, which fine-tuned files hold under `w2v_args`."""
    inner = part_of(settings, "model").get("w2v_args")
    return inner if isinstance(inner, Mapping) else settings


def part_of(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a nested cfg; of flat settings, all."""
    part = settings.get(name)
    return part if isinstance(part, Mapping) else settings


def chosen(settings: Mapping[str, Any], table: Mapping[str, str]) -> Flat:
    """{ours: value} of the settings that are there."""
    return {ours: settings[name] for ours, name in table.items() if settings.get(name) is not None}


def _position_norm(settings: Mapping[str, Any]) -> Flat:
    by_batch = settings.get("conv_pos_batch_norm")
    norm = "batch" if by_batch else "weight"
    return {} if by_batch is None else {"transformer.position_norm": norm}


def refuse_others(settings: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raises DataError for a setting with another than its one known value."""
    for name, value in fixed.items():
        if settings.get(name, value) != value:
            raise DataError(
                f"this model has {name} {settings[name]!r}; only {value!r} is known here"
            )


def convolutions(text: str) -> tuple[tuple[int, int, int], ...]:
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
