"""EfficientNet (Tan and Le 2019), of transformers, torchvision or timm: what is below the
classifier."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.models.efficientnet import EfficientNet, EfficientNetConfiguration
from avaffect.models.published import configuration, conversion
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.conversion import Kind
from avaffect.models.published.names import Layout
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "EfficientNet"
# Names that identify an encoder: the first, and all others.
_MARKERS = {
    "transformers": ("embeddings.convolution.weight", "encoder.top_conv.weight"),
    "torchvision": ("features.0.0.weight", "features.1.0.block.1.fc1.weight"),
    "timm": ("conv_stem.weight", "blocks.0.0.se.conv_reduce.weight", "conv_head.weight"),
}
# The weights of a block: theirs, then its number or stage and number, then the rest.
_BLOCKS = {
    "transformers": re.compile(r"encoder\.blocks\.(\d+)\.(.+)"),
    "torchvision": re.compile(r"features\.([1-9]\d*)\.(\d+)\.block\.(.+)"),
    "timm": re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)"),
}
_OUTSIDE = {
    "transformers": {
        "embeddings.convolution": "stem.conv", "embeddings.batchnorm": "stem.norm",
        "encoder.top_conv": "top.conv", "encoder.top_bn": "top.norm",
    },
    "timm": {
        "conv_stem": "stem.conv", "bn1": "stem.norm", "conv_head": "top.conv", "bn2": "top.norm",
    },
}  # fmt: skip
# Modules of a block that expands, and of one that does not.
_TRANSFORMERS = {
    "expansion.expand_conv": "expand.conv", "expansion.expand_bn": "expand.norm",
    "depthwise_conv.depthwise_conv": "depthwise.conv",
    "depthwise_conv.depthwise_norm": "depthwise.norm",
    "squeeze_excite.reduce": "squeeze.reduce", "squeeze_excite.expand": "squeeze.expand",
    "projection.project_conv": "project.conv", "projection.project_bn": "project.norm",
}  # fmt: skip
_TIMM_SQUEEZE = {"se.conv_reduce": "squeeze.reduce", "se.conv_expand": "squeeze.expand"}
_WITHIN = {
    "transformers": (_TRANSFORMERS, _TRANSFORMERS),
    "torchvision": (
        {
            "0.0": "expand.conv", "0.1": "expand.norm", "1.0": "depthwise.conv",
            "1.1": "depthwise.norm", "2.fc1": "squeeze.reduce", "2.fc2": "squeeze.expand",
            "3.0": "project.conv", "3.1": "project.norm",
        },
        {
            "0.0": "depthwise.conv", "0.1": "depthwise.norm", "1.fc1": "squeeze.reduce",
            "1.fc2": "squeeze.expand", "2.0": "project.conv", "2.1": "project.norm",
        },
    ),
    "timm": (
        {
            "conv_pw": "expand.conv", "bn1": "expand.norm", "conv_dw": "depthwise.conv",
            "bn2": "depthwise.norm", "conv_pwl": "project.conv", "bn3": "project.norm",
            **_TIMM_SQUEEZE,
        },
        {
            "conv_dw": "depthwise.conv", "bn1": "depthwise.norm", "conv_pw": "project.conv",
            "bn2": "project.norm", **_TIMM_SQUEEZE,
        },
    ),
}  # fmt: skip
# The module that only a block that expands has.
_EXPANDS = {"transformers": "expansion.expand_conv", "torchvision": "3.0", "timm": "conv_pwl"}
_FIRST_STAGE = {"torchvision": 1, "timm": 0}
_ABOVE = ("classifier.", "pooler.")
_LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_FIXED = {"squeeze_expansion_ratio": 0.25, "pooling_type": "mean"}
_ACTIVATIONS = ("swish", "silu")
_FIXED_OF_PICTURES = {
    "do_rescale": True, "rescale_factor": 1 / 255, "rescale_offset": False, "do_normalize": True,
}  # fmt: skip
# torchvision's sizes from B5 on have more blocks than B4, and another epsilon.
_BLOCKS_OF_B4 = 32
# TensorFlow's batch norm.
_EPSILON_OF_TENSORFLOW = 1e-3


def recognise(source: Source) -> bool | None:
    """Recognised by its name in the settings, or by the names of its first and last weights."""
    return source.model_type == "efficientnet" or _layout(source.tensors) is not None


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole EfficientNet."""
    configuration.check_model_type(source.settings, ("efficientnet",))
    layout = _layout(source.tensors)
    if layout is None:
        raise DataError(
            "its settings are EfficientNet's, but its "
            f"{count_of(len(source.tensors), 'weight is', 'weights are')} not"
        )
    tensors, left, unexpected = _sort(source, layout)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    given = _said(source, layout, shapes)
    encoder = conversion.built(KIND, shapes, given, source.assignments, warn)
    conversion.load(encoder, tensors, unexpected)
    conversion.try_out(encoder)
    return Converted(encoder, layout, None, 0, {}, left)


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, strides as published."""
    stem, channels = shapes["stem.conv.weight"][:2]
    stages: list[tuple[int, ...]] = []
    while f"stages.{len(stages)}.0.depthwise.conv.weight" in shapes:
        place = f"stages.{len(stages)}"
        inner, _, _, kernel = shapes[f"{place}.0.depthwise.conv.weight"]
        inputs = stages[-1][3] if stages else stem
        width = shapes[f"{place}.0.project.conv.weight"][0]
        blocks = 1
        while f"{place}.{blocks}.depthwise.conv.weight" in shapes:
            blocks += 1
        stride = _STRIDES[len(stages)] if len(stages) < len(_STRIDES) else 1
        stages.append((kernel, stride, inner // inputs, width, blocks))
    if not stages:
        raise KeyError("stages.0.0.depthwise.conv.weight")
    found = configuration.flatten(EfficientNetConfiguration()) | {
        "stages": tuple(stages),
        "stem": stem,
        "top": shapes["top.conv.weight"][0],
        "channels": channels,
    }
    if channels == 1:
        # Of grey pictures ImageNet has no statistics: the mean of its three.
        found |= {"face_mean": (0.449,), "face_std": (0.226,)}
    return found


def _layout(tensors: Mapping[str, Tensor]) -> Layout | None:
    """The writer of the names and their prefix; None where there is no EfficientNet."""
    for writer, (first, *others) in _MARKERS.items():
        for name in tensors:
            prefix = name.removesuffix(first)
            beginning = prefix != name and (prefix == "" or prefix.endswith("."))
            if beginning and all(prefix + other in tensors for other in others):
                return Layout(writer, prefix)
    return None


def _sort(source: Source, layout: Layout) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """The encoder's weights under our names; names of weights above it, and unknown names."""
    start = len(layout.prefix)
    inside = {n[start:]: v for n, v in source.tensors.items() if n.startswith(layout.prefix)}
    left = [name for name in source.tensors if not name.startswith(layout.prefix)]
    found: dict[str, Tensor] = {}
    unexpected = []
    for name, ours in _named(layout.writer, inside, source.settings).items():
        if ours is not None:
            value = inside[name]
            found[ours] = value.float() if value.is_floating_point() else value
        elif name.startswith(_ABOVE):
            left.append(layout.prefix + name)
        else:
            unexpected.append(layout.prefix + name)
    # Nothing reads how many batches there were, and files may lack it.
    means = [name for name in found if name.endswith("running_mean")]
    counts = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means
    }
    return counts | found, left, unexpected


def _named(
    writer: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> dict[str, str | None]:
    """Their name of each weight -> ours; None where it is unknown."""
    outside = _outside(writer, tensors)
    places = _places(tensors, settings) if writer == "transformers" else {}

    def ours(name: str) -> str | None:
        module, _, leaf = name.rpartition(".")
        match = _BLOCKS[writer].fullmatch(module)
        if leaf not in _LEAVES or match is None:
            return f"{outside[module]}.{leaf}" if leaf in _LEAVES and module in outside else None
        *numbers, part = match.groups()
        block = module.removesuffix(part)
        plain = f"{block}{_EXPANDS[writer]}.weight" not in tensors
        within = _WITHIN[writer][plain].get(part)
        if writer == "transformers":
            place = places.get(int(numbers[0]))
        else:
            place = int(numbers[0]) - _FIRST_STAGE[writer], int(numbers[1])
        if within is None or place is None:
            return None
        return f"stages.{place[0]}.{place[1]}.{within}.{leaf}"

    return {name: ours(name) for name in tensors}


def _outside(writer: str, tensors: Mapping[str, Tensor]) -> Mapping[str, str]:
    """Their names of modules outside of the blocks -> ours."""
    if writer != "torchvision":
        return _OUTSIDE[writer]
    numbers = (re.fullmatch(r"features\.(\d+)\.0\.weight", name) for name in tensors)
    last = max(int(match[1]) for match in numbers if match)
    return {
        "features.0.0": "stem.conv", "features.0.1": "stem.norm",
        f"features.{last}.0": "top.conv", f"features.{last}.1": "top.norm",
    }  # fmt: skip


def _places(
    tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> dict[int, tuple[int, int]]:
    """Block of transformers -> its stage and its number there: by the settings, or where kernel,
    width or expansion change. Raises DataError where the settings have another number of blocks."""
    kinds: list[tuple[Any, ...]] = []
    while (kernel := f"{_block(len(kinds))}.depthwise_conv.depthwise_conv.weight") in tensors:
        block = _block(len(kinds))
        expands = f"{block}.{_EXPANDS['transformers']}.weight" in tensors
        width = tensors.get(f"{block}.projection.project_bn.weight")
        kinds.append((tensors[kernel].shape[-1], expands, width if width is None else len(width)))
    repeats = settings.get("num_block_repeats")
    if repeats is None:
        sizes = [len(list(alike)) for _, alike in groupby(kinds)]
    else:
        depth = settings.get("depth_coefficient", 1.0)
        sizes = [math.ceil(depth * blocks) for blocks in repeats]
        if sum(sizes) != len(kinds):
            raise DataError(
                f"its settings are of another model: {count_of(sum(sizes), 'block')} there, and "
                f"{len(kinds)} by its weights"
            )
    return dict(enumerate((s, n) for s, size in enumerate(sizes) for n in range(size)))


def _block(number: int) -> str:
    return f"encoder.blocks.{number}"


def _said(source: Source, layout: Layout, shapes: Shapes) -> Flat:
    """What the writer and the settings say beyond the shapes."""
    if layout.writer == "torchvision":
        blocks = sum(name.endswith("depthwise.conv.weight") for name in shapes)
        epsilon = 1e-5 if blocks <= _BLOCKS_OF_B4 else _EPSILON_OF_TENSORFLOW
        return {"padding": "symmetric", "symmetric_blocks": (), "norm_epsilon": epsilon}
    if layout.writer == "timm":
        return _said_by_timm(source.settings)
    found: Flat = {"padding": "late", "norm_epsilon": _EPSILON_OF_TENSORFLOW}
    settings = source.settings
    configuration.refuse_others(settings, _FIXED)
    if settings.get("hidden_act", "swish") not in _ACTIVATIONS:
        raise DataError(
            f"this model has hidden_act {settings['hidden_act']!r}; only swish is known"
        )
    found |= configuration.chosen(
        settings,
        {
            "norm_epsilon": "batch_norm_eps", "symmetric_blocks": "depthwise_padding",
            "top": "hidden_dim",
        },
    )  # fmt: skip
    if "strides" in settings:
        stages = configuration.read_shapes(from_shapes, shapes)["stages"]
        strides = zip(stages, settings["strides"], strict=True)
        found["stages"] = tuple((s[0], stride, *s[2:]) for s, stride in strides)
    return found | _standardised(source.preprocessor)


def _standardised(preprocessor: Mapping[str, Any]) -> Flat:
    """transformers' preparation of pictures; with `include_top` it divides by the deviation
    twice."""
    configuration.refuse_others(preprocessor, _FIXED_OF_PICTURES)
    found = configuration.chosen(preprocessor, {"face_mean": "image_mean", "face_std": "image_std"})
    if "face_std" in found and preprocessor.get("include_top", True):
        found["face_std"] = [std * std for std in found["face_std"]]
    return found


def _said_by_timm(settings: Mapping[str, Any]) -> Flat:
    """timm's models of TensorFlow's weights are named tf_…; others pad as torchvision does."""
    found: Flat = {"symmetric_blocks": ()}
    name = settings.get("architecture")
    if isinstance(name, str):
        of_tensorflow = name.startswith("tf_")
        found["padding"] = "same" if of_tensorflow else "symmetric"
        found["norm_epsilon"] = _EPSILON_OF_TENSORFLOW if of_tensorflow else 1e-5
    pretrained = settings.get("pretrained_cfg")
    if isinstance(pretrained, Mapping):
        found |= configuration.chosen(pretrained, {"face_mean": "mean", "face_std": "std"})
    return found


KIND = Kind(EfficientNetConfiguration, EfficientNet, from_shapes)
