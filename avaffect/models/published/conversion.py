"""From a file of published weights to an encoder and its prediction head, for every family."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.encoder import Encoder
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration
from avaffect.models.published import configuration, names
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.names import Layout
from avaffect.models.published.source import Converted, Source, Unfit, Warn

# Weights beside the encoder: layers of pre-training and fine-tuning on top of it.
_ON_TOP = (
    "quantizer.", "input_quantizer.", "project_q.", "project_hid.", "target_glu.", "final_proj.",
    "label_embs_concat", "aux.", "lm_head.", "classifier.", "projector.",
)  # fmt: skip
# Only pre-training reads it, and fine-tuned files lack it.
_MASK = "mask_emb"
_HEAD = ("final_proj.weight", "final_proj.bias", "label_embs_concat")
# fairseq's dictionaries begin with <s>, <pad>, </s> and <unk>.
_SPECIAL_SYMBOLS = 4
# Values without a shape that change the result.
_GUESSED = (
    "transformer.heads", "transformer.pre_norm", "normalise", "padding", "symmetric_blocks",
    "norm_epsilon",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Classes and functions of a family's models.

    configuration  class, all of whose fields have defaults
    encoder        class
    from_shapes    the configuration from the shapes of its weights (our names); KeyError names an
                   absent one
    check          raises DataError for values that no such model has
    """

    configuration: Any
    encoder: Callable[[Any], Encoder]
    from_shapes: Callable[[Shapes], Flat]
    check: Callable[[Flat], None] = field(default=lambda flat: None, kw_only=True)


@dataclass(frozen=True)
class Model(Kind):
    """A relative of HuBERT.

    from_fairseq   values of fairseq's settings, those of the pre-trained model
    masking        field of objectives' Masking -> fairseq's setting
    """

    from_fairseq: Callable[[Mapping[str, Any]], Flat]
    masking: Mapping[str, str]


@dataclass(frozen=True)
class Located:
    """The first encoder in a file: its tensors and those of no other encoder, the layout of its
    names, and the prefix of each encoder's names."""

    tensors: Mapping[str, Tensor]
    layout: Layout
    prefixes: tuple[str, ...]

    @property
    def is_audiovisual(self) -> bool:
        """Whether it has a front-end for video."""
        start = f"{self.layout.prefix}feature_extractor_video."
        return any(name.startswith(start) for name in self.tensors)


def located(source: Source) -> Located | None:
    """The first encoder whose names are those of HuBERT's relatives; None where there is none."""
    layouts = names.encoders(source.tensors)
    if not layouts:
        return None
    first, *others = (layout.prefix for layout in layouts)
    dropped = tuple(prefix for prefix in others if prefix and not first.startswith(prefix))
    kept = {n: value for n, value in source.tensors.items() if not n.startswith(dropped)}
    return Located(kept, layouts[0], (first, *others))


@dataclass
class _Weights:
    """A file's weights under our names, and the remaining ones.

    encoder, head: all that belongs to them; the head may be empty. left: names of weights on top of
    the encoder. unexpected: unknown names.
    """

    encoder: dict[str, Tensor] = field(default_factory=dict)
    head: dict[str, Tensor] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def convert(model: Model, source: Source, warn: Warn) -> Converted:
    """An encoder with the weights of a file, and its prediction head where it has one.

    Weights that the file lacks and only pre-training uses are drawn from torch's generator. Raises
    DataError where it is no whole model of this kind, or does not run.
    """
    there = located(source)
    if there is None:
        raise DataError("it holds no known encoder")
    layout = there.layout
    if len(there.prefixes) > 1:
        warn(
            f"it holds {count_of(len(there.prefixes), 'encoder')}, named "
            f"{', '.join(f'{p}*' for p in there.prefixes)}: {layout.prefix}* is imported; for "
            "another, save its state dict alone"
        )
    if layout.writer != "fairseq":
        configuration.check_model_type(source.settings)
    weights = _sort(there.tensors, layout)
    encoder = _encoder(model, source, layout, weights, warn)
    load(encoder, weights.encoder, weights.unexpected)
    if _MASK not in weights.encoder:
        warn(f"{_MASK} is missing: drawn anew, which affects pre-training alone")
    head, units = _head(encoder, weights, source.dictionaries, layout, warn)
    try_out(encoder)
    masking = configuration.masking_of_fairseq(source.settings, model.masking)
    return Converted(encoder, layout, head, units, masking, weights.left)


def _sort(tensors: Mapping[str, Tensor], layout: Layout) -> _Weights:
    found = _Weights()
    for theirs, ours in names.to_ours(tensors, layout).items():
        value = tensors[theirs]
        if ours in _HEAD:
            found.head[ours] = value
        elif _is_on_top(theirs, layout):
            found.left.append(theirs)
        elif ours is None:
            found.unexpected.append(theirs)
        else:
            found.encoder[ours] = value.float() if value.is_floating_point() else value
    shapes = {name: tuple(value.shape) for name, value in found.head.items()}
    whole = len(found.head) == len(_HEAD)
    # With several sets of targets, fairseq has a projection for each of them.
    if not whole or shapes["final_proj.weight"][0] != shapes["label_embs_concat"][-1]:
        found.left += sorted(found.head)
        found.head = {}
    return found


def _is_on_top(name: str, layout: Layout) -> bool:
    """Whether a weight belongs to layers on top of the encoder: known ones, or names outside of
    it."""
    known = name.removeprefix(layout.prefix).startswith(_ON_TOP)
    return known or not (name.startswith(layout.prefix) or layout.writer == "torchaudio")


def _encoder(
    model: Model, source: Source, layout: Layout, weights: _Weights, warn: Warn
) -> Encoder:
    named = {**weights.encoder, **weights.head}
    shapes = {name: tuple(value.shape) for name, value in named.items()}
    if layout.writer == "fairseq":
        given = model.from_fairseq(configuration.pretrained(source.settings))
    else:
        given = configuration.from_transformers(source.settings, source.preprocessor)
    return built(model, shapes, given, source.assignments, warn)


def built(
    kind: Kind, shapes: Shapes, given: Flat, assignments: Sequence[str], warn: Warn
) -> Encoder:
    """An encoder with fresh weights: of these shapes (our names), with the values of its settings
    and of the user's NAME=VALUE. Raises DataError where no model has them."""
    flat = configuration.read_shapes(kind.from_shapes, shapes)
    configuration.check_sizes(given, flat)
    given = given | configuration.parse(assignments, flat)
    flat |= given
    guessed = [name for name in _GUESSED if name in flat and name not in given]
    if guessed:
        warn(
            "the file does not give "
            + " or ".join(f"{name}={json.dumps(flat[name])}" for name in guessed)
            + ": published models of these shapes have it so; --set corrects it"
        )
    whole = configuration.build(flat, kind.configuration, kind.check)
    try:
        return kind.encoder(whole)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise DataError(f"no model has these settings: {error}") from error


def load(encoder: nn.Module, found: Mapping[str, Tensor], unexpected: Sequence[str]) -> None:
    """Put the weights (our names) in their places; unexpected: unknown names. Raises Unfit for
    missing weights, but for the mask embedding, for unexpected ones, and for other shapes."""
    own = encoder.state_dict()
    faults = {
        "missing": sorted(own.keys() - found.keys() - {_MASK}),
        "unexpected": sorted([*unexpected, *(found.keys() - own.keys())]),
        "of other shapes": [
            f"{name} {tuple(found[name].shape)}, not {tuple(own[name].shape)}"
            for name in sorted(own.keys() & found.keys())
            if own[name].shape != found[name].shape
        ],
        "of other types": [
            f"{name} {found[name].dtype}"
            for name in sorted(own.keys() & found.keys())
            if own[name].is_floating_point() != found[name].is_floating_point()
        ],
    }
    if any(faults.values()):
        raise Unfit(faults)
    encoder.load_state_dict({**own, **found})


def _head(
    encoder: Encoder,
    weights: _Weights,
    dictionaries: Sequence[Sequence[str]],
    layout: Layout,
    warn: Warn,
) -> tuple[PredictionHead | None, int]:
    """The prediction head, and its number of units.

    Its rows are put in the order of the units, and the rows of special symbols after them. A head
    whose order of rows is unknown is left out.
    """
    if not weights.head:
        return None, 0
    rows = len(weights.head["label_embs_concat"])
    try:
        places, units = _unit_order(rows, dictionaries, layout)
    except ValueError as error:
        warn(f"the prediction head is left out: {error}")
        weights.left += sorted(weights.head)
        return None, 0
    if not dictionaries and layout.writer == "fairseq":
        warn(
            f"no dictionary names the {count_of(rows, 'row')} of the prediction head: taken as "
            f"{_SPECIAL_SYMBOLS} special symbols first, then clusters, as fairseq has it"
        )
    final_dim = encoder.configuration.final_dim
    head = PredictionHead(PredictionHeadConfiguration(encoder.dim, rows, final_dim))
    values = {name: value.float() for name, value in weights.head.items()}
    values["label_embs_concat"] = values["label_embs_concat"][places]
    try:
        head.load_state_dict(values)
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in values.items())
        raise DataError(f"the prediction head does not fit this encoder: {shapes}") from error
    return head, units


def _unit_order(
    rows: int, dictionaries: Sequence[Sequence[str]], layout: Layout
) -> tuple[list[int], int]:
    """The rows in the order of the units, others last, and the number of units.

    Raises ValueError, with words, where the order is unknown.
    """
    if not dictionaries:
        of_fairseq = layout.writer == "fairseq" and rows > _SPECIAL_SYMBOLS
        special = _SPECIAL_SYMBOLS if of_fairseq else 0
        return [*range(special, rows), *range(special)], rows - special
    if len(dictionaries) > 1:
        raise ValueError(f"it was trained on {count_of(len(dictionaries), 'set')} of units at once")
    symbols = dictionaries[0]
    if len(symbols) != rows:
        raise ValueError(
            f"its dictionary has {count_of(len(symbols), 'symbol')}, and it has "
            f"{count_of(rows, 'row')}"
        )
    clusters = {int(s): row for row, s in enumerate(symbols) if s.isascii() and s.isdigit()}
    if not clusters or sorted(clusters) != list(range(len(clusters))):
        raise ValueError("its dictionary does not number clusters from 0")
    others = sorted(set(range(rows)) - set(clusters.values()))
    return [*(clusters[unit] for unit in range(len(clusters))), *others], len(clusters)


def try_out(encoder: Encoder) -> None:
    """Raises DataError where the encoder does not run: settings can contradict its weights."""
    streams = {WAVEFORM: torch.randint(-999, 999, (1, 8000), dtype=torch.int16)}
    if FACE in encoder.streams:
        c = encoder.configuration
        size = (1, 12, c.face_size, c.face_size, c.channels)
        streams[FACE] = torch.randint(0, 255, size, dtype=torch.uint8)
    lengths = {name: torch.tensor([value.shape[1]]) for name, value in streams.items()}
    try:
        with torch.inference_mode():
            frames = encoder.eval()(Batch(["trial"], streams, lengths)).values
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"a model of these settings does not run: {error}") from error
    if not bool(torch.isfinite(frames).all()):
        raise DataError("a model of these weights and settings gives no numbers")
