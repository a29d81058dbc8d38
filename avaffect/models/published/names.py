"""Parameter names of published encoders: ours, which are fairseq's, and those of others.

transformers and torchaudio have HuBERT and wav2vec 2.0; AV-HuBERT has fairseq's names alone. Shapes
and values are the same under all names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# (ours, transformers'), with N for any number.
_MODULES = (
    ("mask_emb", "masked_spec_embed"),
    ("feature_extractor.conv_layers.N.0", "feature_extractor.conv_layers.N.conv"),
    ("layer_norm", "feature_projection.layer_norm"),
    ("post_extract_proj", "feature_projection.projection"),
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
# WavLM's biases by distance, which the first layer holds for all, and their gates.
_RELATIVE = (
    ("encoder.layers.N.self_attn.grep_linear", "encoder.layers.N.attention.gru_rel_pos_linear"),
    ("encoder.layers.N.self_attn.grep_a", "encoder.layers.N.attention.gru_rel_pos_const"),
    (
        "encoder.layers.N.self_attn.relative_attention_bias",
        "encoder.layers.N.attention.rel_attn_embed",
    ),
)
# The norm inside a convolution layer is one level deeper where it is a layer norm.
_GROUP_NORM = ("feature_extractor.conv_layers.N.2", "feature_extractor.conv_layers.N.layer_norm")
_LAYER_NORM = ("feature_extractor.conv_layers.N.2.1", _GROUP_NORM[1])
# For batch norm before the convolution of positions, in place of the kernel's weight norm.
_WEIGHT_NORMED = (("encoder.pos_conv.0", "encoder.pos_conv_embed.conv"),)
_BATCH_NORMED = (
    ("encoder.pos_conv.0", "encoder.pos_conv_embed.batch_norm"),
    ("encoder.pos_conv.1", "encoder.pos_conv_embed.conv"),
)
# data2vec's convolutions of positions.
_STACKED = ("encoder.pos_conv.N.0", "encoder.pos_conv_embed.layers.N.conv")
# (torchaudio's, transformers') prefixes; the head, which transformers lacks, has our name.
_TORCHAUDIO = (
    ("encoder.transformer.", "encoder."),
    ("encoder.feature_projection.", "feature_projection."),
    ("mask_generator.mask_embedding", "masked_spec_embed"),
    ("logit_generator.final_proj.", "final_proj."),
    ("logit_generator.label_embeddings", "label_embs_concat"),
)
_HEAD = ("final_proj.weight", "final_proj.bias", "label_embs_concat")

# The spellings of weight norm before and since torch 2.
_WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}

# Of the batch norm before the convolution of positions: torch's names and ours.
_STATISTICS = {
    "running_mean": "mean", "running_var": "variance", "num_batches_tracked": "batches",
}  # fmt: skip
_BATCH_NORMS = ("encoder.pos_conv.0.", "encoder.pos_conv_embed.batch_norm.")

# A parameter of every model, whose name identifies the layout.
_MARKERS = (
    ("torchaudio", "encoder.transformer.layer_norm.weight"),
    ("transformers", "feature_projection.projection.weight"),
    ("fairseq", "post_extract_proj.weight"),
)
LAYOUTS = tuple(layout for layout, _ in _MARKERS)


@dataclass(frozen=True)
class Layout:
    """The layout of names, and the prefix of each name of the encoder."""

    writer: str
    prefix: str = ""


def encoders(names: Iterable[str]) -> list[Layout]:
    """The layouts of the encoders among a model's names, in their order: none where no encoder is
    known, several where, for example, a teacher is stored beside its student."""
    names = list(names)
    for writer, marker in _MARKERS:
        found = [n for n in names if n == marker or n.endswith(f".{marker}")]
        if found:
            return [Layout(writer, name.removesuffix(marker)) for name in found]
    return []


def to_ours(names: Iterable[str], layout: Layout) -> dict[str, str | None]:
    """Their name -> ours, None for a name outside the encoder and its head."""
    names = list(names)
    plain = {name: _without_spelling(_inner(name, layout)) for name in names}
    if layout.writer == "fairseq":
        return {
            name: inner if name.startswith(layout.prefix) else None for name, inner in plain.items()
        }
    deeper = "feature_extractor.conv_layers.1.layer_norm.weight" in plain.values()
    by_batch = any(name.startswith(_BATCH_NORMS[1]) for name in plain.values())
    positions = _BATCH_NORMED if by_batch else _WEIGHT_NORMED
    norm = _LAYER_NORM if deeper else _GROUP_NORM
    pairs = [(b, a) for a, b in (norm, _STACKED, *positions, *_MODULES, *_RELATIVE)]
    return {name: _known(inner, pairs) for name, inner in plain.items()}


def to_transformers(name: str, parametrized: bool = False, positions: str = "weight") -> str:
    """transformers' name of our parameter `name`.

    parametrized: the spelling of weight norm since torch 2 (`parametrizations.weight.original0`)
    in place of `weight_g` and `weight_v`; positions: the norm of the convolution of positions, as
    `TransformerConfiguration` has it. Raises KeyError for a name that no such model has.
    """
    own = {"weight": _WEIGHT_NORMED, "batch": _BATCH_NORMED, "layer": (_STACKED,)}[positions]
    theirs = translate(name, (_LAYER_NORM, _GROUP_NORM, *own, *_MODULES, *_RELATIVE))
    module, _, leaf = theirs.rpartition(".")
    if f"{module}." == _BATCH_NORMS[1]:
        leaf = next((theirs for theirs, ours in _STATISTICS.items() if ours == leaf), leaf)
    leaf = _WEIGHT_NORM[leaf] if parametrized and leaf in _WEIGHT_NORM else leaf
    return f"{module}.{leaf}" if module else leaf


def _inner(name: str, layout: Layout) -> str:
    name = name.removeprefix(layout.prefix)
    if layout.writer == "torchaudio":
        for theirs, transformers in _TORCHAUDIO:
            if name.startswith(theirs):
                return transformers + name.removeprefix(theirs)
    return name


def _without_spelling(name: str) -> str:
    for leaf, parametrization in _WEIGHT_NORM.items():
        name = name.replace(parametrization, leaf)
    module, _, leaf = name.rpartition(".")
    if f"{module}." in _BATCH_NORMS:
        return f"{module}.{_STATISTICS.get(leaf, leaf)}"
    return name


def _known(name: str, pairs: list[tuple[str, str]]) -> str | None:
    if name in _HEAD:
        return name
    try:
        return translate(name, pairs)
    except KeyError:
        return None


def translate(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The name of a parameter in modules of other names: pairs of (source, target), with N for any
    number. Raises KeyError where its module has no pair."""
    for source, target in pairs:
        pattern = re.escape(source).replace("N", r"(\d+)") + r"(|\.\w+)"
        match = re.fullmatch(pattern, name)
        if match:
            *numbers, leaf = match.groups()
            return (target.replace("N", numbers[0]) if numbers else target) + leaf
    raise KeyError(name)
