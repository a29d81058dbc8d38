"""How `import` reads published weights into an encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avaffect.core import faults, seeds
from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.headers import Prediction, Published
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.models.avhubert import AVHubert
from avaffect.models.encoder import Encoder
from avaffect.models.heads.attentive import PredictionHead, PredictionHeadConfiguration
from avaffect.models.hubert import Hubert
from avaffect.models.published import configuration, names
from avaffect.models.published.names import Layout
from avaffect.objectives.masked_prediction import (
    MaskedPrediction,
    MaskedPredictionConfiguration,
    Masking,
)
from avaffect.recipes.common import work
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.import_ import ImportSettings
from avaffect.training import foreign
from avaffect.training.foreign import Foreign

TITLES = {"avhubert": "AV-HuBERT", "hubert": "HuBERT", "wav2vec2": "wav2vec 2.0"}
# Beside the encoder, what pre-training and fine-tuning put on top of it.
_ON_TOP = (
    "quantizer.", "input_quantizer.", "project_q.", "project_hid.", "target_glu.", "final_proj.",
    "label_embs_concat", "aux.", "lm_head.", "classifier.", "projector.",
)  # fmt: skip
# Only pre-training reads it, and fine-tuned files lack it.
_MASK = "mask_emb"
_HEAD = ("final_proj.weight", "final_proj.bias", "label_embs_concat")
# fairseq's dictionaries begin with <s>, <pad>, </s> and <unk>.
_SPECIAL_SYMBOLS = 4
_LISTED = 20
# What no shape shows, and what changes the result.
_GUESSED = ("transformer.heads", "transformer.pre_norm", "normalise")
_MISREADINGS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip


@dataclass
class _Weights:
    """A file's weights under our names, and what is left of them.

    encoder, head: all that belongs to them; the head may be empty. left: names of what stands on
    top of the encoder. unexpected: names of what nobody knows.
    """

    encoder: dict[str, Tensor] = field(default_factory=dict)
    head: dict[str, Tensor] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def run(
    settings: ImportSettings, files: Sequence[Path], made: Provenance, progress: Progress
) -> None:
    """Read the files of `settings.weights` and write an encoder.

    Raises DataError where the file cannot be read safely, is of no model that is known, or its
    weights are not those of that model; they are named.
    """
    found = foreign.read(files)
    try:
        read = _read(settings, found, progress)
    except DataError as error:
        raise DataError(f"{settings.weights}: {error}") from error
    except _MISREADINGS as error:
        faults.check_machine(settings.weights, error)
        # A file that others wrote may say anything anywhere.
        raise DataError(
            f"{settings.weights} is of no model that is known ({type(error).__name__}: {error})"
        ) from error
    if settings.dry_run:
        work.is_done(settings, made, progress, f"import {settings.weights}")
        return
    encoder, head, kind, layout = read.encoder, read.head, read.kind, read.layout
    facts: dict[str, Any] = {}
    objective = None
    if head is not None:
        known = MaskedPredictionConfiguration(len(head.label_embs_concat), read.masking)
        objective = MaskedPrediction(encoder, known)
        objective.head = head
        facts["prediction"] = Prediction(units=read.units, rows=len(head.label_embs_concat))
    checkpoints.save_encoder(
        settings.output,
        encoder,
        objective,
        provenance=made,
        metrics={},
        published=Published(kind=kind, names=layout.writer),
        **facts,
    )
    parameters = sum(p.numel() for m in (encoder, head) if m is not None for p in m.parameters())
    progress.say(
        f"{settings.output}: {TITLES[kind]} of {layout.writer}, "
        f"{encoder.configuration.transformer.layers} layers of {encoder.dim}, "
        f"{parameters / 1e6:.1f} M parameters"
        + (f"; its head predicts {read.units} units" if read.units else "")
    )
    _name_what_is_left(read.left, layout, progress)


@dataclass
class _Read:
    """What a file turned out to hold. units: how many the head tells apart, 0 without one;
    masking: what its pre-training hid."""

    kind: str
    layout: Layout
    encoder: Encoder
    head: PredictionHead | None
    units: int
    masking: Masking
    left: list[str]


def _read(settings: ImportSettings, found: Foreign, progress: Progress) -> _Read:
    layouts = names.encoders(found.tensors)
    if not layouts:
        raise DataError(
            f"it holds no AV-HuBERT, HuBERT or wav2vec 2.0: none of its {len(found.tensors)} "
            "weights is named as fairseq, transformers or torchaudio name them (the first is "
            f"{next(iter(found.tensors))})"
        )
    layout = layouts[0]
    if len(layouts) > 1:
        found = _without(found, layouts, progress)
    if layout.writer != "fairseq":
        configuration.check_model_type(found.settings)
    kind = _kind(settings, found, layout)
    weights = _sort(found.tensors, layout)
    encoder = _encoder(settings, kind, found, weights, layout, progress)
    _load(encoder, weights, progress)
    head, units = _head(encoder, weights, found.dictionaries, layout, progress)
    _try(encoder)
    masking = _masking(encoder, found.settings)
    return _Read(kind, layout, encoder, head, units, masking, weights.left)


def _without(found: Foreign, layouts: Sequence[Layout], progress: Progress) -> Foreign:
    """What a file holds, but for the weights of all encoders after the first."""
    first, *others = (layout.prefix for layout in layouts)
    progress.warn(
        f"it holds {len(layouts)} encoders, named {', '.join(f'{p}*' for p in (first, *others))}: "
        f"{first}* is imported; for another, save its state dict alone"
    )
    dropped = tuple(prefix for prefix in others if prefix and not first.startswith(prefix))
    kept = {name: value for name, value in found.tensors.items() if not name.startswith(dropped)}
    return replace(found, tensors=kept)


def _kind(settings: ImportSettings, found: Foreign, layout: Layout) -> str:
    """avhubert, hubert or wav2vec2. DataError where --as says what cannot be."""
    inner = [name.removeprefix(layout.prefix) for name in found.tensors]
    audiovisual = configuration.is_audiovisual(inner)
    if settings.kind is not None:
        if (settings.kind == "avhubert") != audiovisual:
            raise DataError(
                f"--as {settings.kind}: it has {'a' if audiovisual else 'no'} front-end for video"
            )
        return settings.kind
    if audiovisual:
        return "avhubert"
    said = str(found.settings.get("model_type") or _fairseq_name(found.settings))
    heads = any("label_emb" in name for name in found.tensors)
    return "hubert" if "hubert" in said + layout.prefix or heads else "wav2vec2"


def _fairseq_name(settings: Mapping[str, Any]) -> str:
    model = settings.get("model")
    return str(model.get("_name", "")) if isinstance(model, Mapping) else ""


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
    # With several sets of targets, fairseq projects for each of them.
    if not whole or shapes["final_proj.weight"][0] != shapes["label_embs_concat"][-1]:
        found.left += sorted(found.head)
        found.head = {}
    return found


def _is_on_top(name: str, layout: Layout) -> bool:
    """Whether a weight belongs to what was built on the encoder: known, or outside of it."""
    known = name.removeprefix(layout.prefix).startswith(_ON_TOP)
    return known or not (name.startswith(layout.prefix) or layout.writer == "torchaudio")


def _encoder(
    settings: ImportSettings,
    kind: str,
    found: Foreign,
    weights: _Weights,
    layout: Layout,
    progress: Progress,
) -> Encoder:
    named = {**weights.encoder, **weights.head}
    shapes = {name: tuple(value.shape) for name, value in named.items()}
    flat = configuration.from_shapes(shapes)
    if layout.writer == "fairseq":
        said = configuration.from_fairseq(found.settings, kind == "avhubert")
    else:
        said = configuration.from_transformers(found.settings, found.preprocessor)
    said |= configuration.parse(settings.assignments, flat)
    flat |= said
    guessed = [name for name in _GUESSED if name in flat and name not in said]
    if guessed:
        progress.warn(
            f"{settings.weights} does not say "
            + " or ".join(f"{name}={json.dumps(flat[name])}" for name in guessed)
            + ": published models of these shapes have it so; --set corrects it"
        )
    built = configuration.build(flat)
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    try:
        return AVHubert(built) if kind == "avhubert" else Hubert(built)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise DataError(f"no model has these settings: {error}") from error


def _load(encoder: Encoder, weights: _Weights, progress: Progress) -> None:
    """Put the weights in their places. DataError names what is missing, unexpected or of another
    shape."""
    own, found = encoder.state_dict(), weights.encoder
    faults = {
        "missing": sorted(own.keys() - found.keys() - {_MASK}),
        "unexpected": sorted([*weights.unexpected, *(found.keys() - own.keys())]),
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
        for what, listed in faults.items():
            for name in listed:
                progress.detail(f"{what}: {name}")
        raise DataError(
            "it does not hold the whole of a model that is known; "
            + "; ".join(
                f"{len(listed)} {what}: {work.some_of(listed, _LISTED)}"
                for what, listed in faults.items()
                if listed
            )
        )
    if _MASK not in found:
        progress.warn(f"{_MASK} is missing: drawn anew, which only pre-training notices")
    encoder.load_state_dict({**own, **found})


def _head(
    encoder: Encoder,
    weights: _Weights,
    dictionaries: Sequence[Sequence[str]],
    layout: Layout,
    progress: Progress,
) -> tuple[PredictionHead | None, int]:
    """The prediction head, and how many units it tells apart.

    Its rows are put in the order of the units, and the rows of special symbols after them. A head
    whose rows cannot be told from each other is left out.
    """
    if not weights.head:
        return None, 0
    rows = len(weights.head["label_embs_concat"])
    try:
        places, units = _unit_order(rows, dictionaries, layout)
    except ValueError as error:
        progress.warn(f"the prediction head is left out: {error}")
        weights.left += sorted(weights.head)
        return None, 0
    if not dictionaries and layout.writer == "fairseq":
        progress.warn(
            f"no dictionary says what the {rows} rows of the prediction head are: "
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
    """The rows in the order of the units, others last, and how many units there are.

    Raises ValueError, with words, where that cannot be said.
    """
    if not dictionaries:
        special = _SPECIAL_SYMBOLS if layout.writer == "fairseq" and rows > _SPECIAL_SYMBOLS else 0
        return [*range(special, rows), *range(special)], rows - special
    if len(dictionaries) > 1:
        raise ValueError(f"it was trained on {len(dictionaries)} sets of units at once")
    symbols = dictionaries[0]
    if len(symbols) != rows:
        raise ValueError(f"its dictionary has {len(symbols)} symbols, and it has {rows} rows")
    clusters = {int(s): row for row, s in enumerate(symbols) if s.isascii() and s.isdigit()}
    if not clusters or sorted(clusters) != list(range(len(clusters))):
        raise ValueError("its dictionary does not number clusters from 0")
    others = sorted(set(range(rows)) - set(clusters.values()))
    return [*(clusters[unit] for unit in range(len(clusters))), *others], len(clusters)


def _try(encoder: Encoder) -> None:
    """Raises DataError where the encoder does not run: settings can contradict its weights."""
    streams = {"waveform": torch.randint(-999, 999, (1, 8000), dtype=torch.int16)}
    if "face" in encoder.streams:
        c = encoder.configuration
        size = (1, 12, c.face_size, c.face_size, c.channels)
        streams["face"] = torch.randint(0, 255, size, dtype=torch.uint8)
    lengths = {name: torch.tensor([value.shape[1]]) for name, value in streams.items()}
    try:
        with torch.inference_mode():
            frames = encoder.eval()(Batch(["trial"], streams, lengths)).values
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"a model of these settings does not run: {error}") from error
    if not bool(torch.isfinite(frames).all()):
        raise DataError("a model of these weights and settings gives no numbers")


def _masking(encoder: Encoder, settings: Mapping[str, Any]) -> Masking:
    masking = Masking(kind=checkpoints.masking_kind(encoder))
    said = configuration.masking_of_fairseq(settings, "face" in encoder.streams)
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise DataError(f"what its pre-training hid is no number ({name}: {value!r})")
    known = {name: type(getattr(masking, name))(value) for name, value in said.items()}
    return replace(masking, **known)


def _name_what_is_left(left: Sequence[str], layout: Layout, progress: Progress) -> None:
    if left:
        parts = sorted({name.removeprefix(layout.prefix).split(".", 1)[0] for name in left})
        progress.say(
            f"left out: {len(left)} weights on top of the encoder ({work.some_of(parts, _LISTED)})"
        )
    for name in sorted(left):
        progress.detail(f"left out: {name}")
