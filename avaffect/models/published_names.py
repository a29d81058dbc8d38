"""Parameter names of published HuBERT models: ours (which are fairseq's) and transformers'.

Pure functions of names; shapes and values are the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# (ours, theirs), with N for any number.
_MODULES = (
    ("mask_emb", "masked_spec_embed"),
    ("feature_extractor.conv_layers.N.0", "feature_extractor.conv_layers.N.conv"),
    ("layer_norm", "feature_projection.layer_norm"),
    ("post_extract_proj", "feature_projection.projection"),
    ("encoder.pos_conv.0", "encoder.pos_conv_embed.conv"),
    ("encoder.layer_norm", "encoder.layer_norm"),
    ("encoder.layers.N.self_attn_layer_norm", "encoder.layers.N.layer_norm"),
    ("encoder.layers.N.final_layer_norm", "encoder.layers.N.final_layer_norm"),
    ("encoder.layers.N.fc1", "encoder.layers.N.feed_forward.intermediate_dense"),
    ("encoder.layers.N.fc2", "encoder.layers.N.feed_forward.output_dense"),
    *(
        (f"encoder.layers.N.self_attn.{p}_proj", f"encoder.layers.N.attention.{p}_proj")
        for p in ("q", "k", "v", "out")
    ),
)
# The norm inside a convolution layer sits one level deeper where it is a layer norm.
_GROUP_NORM = ("feature_extractor.conv_layers.N.2", "feature_extractor.conv_layers.N.layer_norm")
_LAYER_NORM = ("feature_extractor.conv_layers.N.2.1", _GROUP_NORM[1])

_WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}


def to_transformers(name: str, parametrized: bool = False) -> str:
    """transformers' name of our parameter `name`.

    parametrized: the spelling of weight norm since torch 2 (`parametrizations.weight.original0`)
    in place of `weight_g` and `weight_v`. Raises KeyError for a name that HuBERT does not have.
    """
    theirs = _translate(name, (_LAYER_NORM, _GROUP_NORM, *_MODULES))
    module, _, leaf = theirs.rpartition(".")
    return f"{module}.{_WEIGHT_NORM[leaf]}" if parametrized and leaf in _WEIGHT_NORM else theirs


def from_transformers(names: Iterable[str]) -> dict[str, str]:
    """transformers' name -> ours, for the names of one model, with either spelling of weight norm.

    Raises KeyError for a name that HuBERT does not have.
    """
    names = list(names)
    deeper = "feature_extractor.conv_layers.1.layer_norm.weight" in names
    pairs = [(b, a) for a, b in (_LAYER_NORM if deeper else _GROUP_NORM, *_MODULES)]
    ours = {}
    for name in names:
        plain = name
        for leaf, parametrization in _WEIGHT_NORM.items():
            plain = plain.replace(parametrization, leaf)
        ours[name] = _translate(plain, pairs)
    return ours


def _translate(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for source, target in pairs:
        pattern = re.escape(source).replace("N", r"(\d+)") + r"(|\.\w+)"
        match = re.fullmatch(pattern, name)
        if match:
            *numbers, leaf = match.groups()
            return (target.replace("N", numbers[0]) if numbers else target) + leaf
    raise KeyError(name)
