"""VAVL (Goncalves et al. 2023): the files of the authors' program, one for each part of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.vavl import Encoder, VAVLConfiguration, VAVLHead
from avaffect.models.published import configuration, conversion
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.names import Layout
from avaffect.models.published.source import ConvertedHead, Source, Warn
from avaffect.models.published.vavl_names import DENSE, ENCODERS, UNUSED, released
from avaffect.settings.two_stream_options import AUDIO, VIDEO

TITLE = "VAVL"
# Parts that every model has; others are left out of its ablations.
_NEEDED = (*ENCODERS, "MLP_a", "MLP_v")
# A prediction head that the authors' program saves beside those that it trains.
_NEVER_TRAINED = "MLP_av."
_MARKERS = ("conv_1d_a.weight", "conv_1d_v.weight", "x_shared.encoder.", "projav1.weight")
# What attributes are called, in the order of the released outputs.
_ATTRIBUTES = ("arousal", "dominance", "valence")
# Frames a second, which the model never reads: of wav2vec 2.0, and of CREMA-D's videos.
_RATES = {AUDIO: 50.0, VIDEO: 29.97}


def recognise(source: Source) -> bool | None:
    """Recognised by the names of its streams' projections and of its dense layers."""
    parts = tuple(f"{part}." for part in (*ENCODERS, *DENSE))
    return any(
        name.startswith(parts) and any(marker in name for marker in _MARKERS)
        for name in _plain(source.tensors)
    )


def convert(source: Source, warn: Warn) -> ConvertedHead:
    """Raises DataError where parts are missing or do not fit, or its classes are not named."""
    tensors = _plain(source.tensors)
    parts = {name.split(".", 1)[0] for name in tensors}
    lacking = [part for part in _NEEDED if part not in parts]
    if lacking:
        raise DataError(
            f"of VAVL's parts it lacks {', '.join(lacking)}: give the folder with all files of the "
            "model (final_acoustic_head.pt, final_visual_head.pt, final_shared_head.pt, ...)"
        )
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    flat = configuration.read_shapes(from_shapes, shapes)
    outputs = configuration.read_shapes(_outputs, shapes)["outputs"]
    said = configuration.parse(source.assignments, flat)
    _check(said, flat)
    flat |= said
    labels = _labels(flat, outputs)
    if "label" in said and labels[0].kind != "class":
        raise UsageError(
            f"--set label={said['label']} names the label of classes, and this model predicts "
            f"{', '.join(_ATTRIBUTES)}; leave it out"
        )
    head = VAVLHead(_configuration(flat, shapes, len(labels) > 1))
    unread = [n for n in tensors if any(part in n for part in UNUSED)]
    unread += [n for n in tensors if n.startswith(_NEVER_TRAINED)]
    found, rest = translate(tensors, head)
    conversion.load(head, found, sorted(rest - set(unread)))
    warn(
        "it reads features that are standardised by the mean and deviation of its training part, "
        "which its files do not hold: import-features of such, acoustic and visual"
    )
    whole = LabelHead.of(head, labels)
    classes = {r.name: tuple(flat["classes"]) for r in labels if r.kind == "class"}
    left = [name for name in unread if not name.endswith(".pe")]
    return ConvertedHead(whole.eval(), Layout("authors"), classes, sorted(left))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PART.NAME -> weight, without what torch's parallel training puts before a name."""
    found = {}
    for name, value in tensors.items():
        part, _, rest = name.removeprefix("module.").partition(".")
        found[f"{part}.{rest.removeprefix('module.')}"] = value
    return found


def translate(tensors: Mapping[str, Tensor], head: VAVLHead) -> tuple[dict[str, Tensor], set[str]]:
    """The head's weights under our names and in our shapes, and the names that are not its own.

    Convolutions of one frame are dense layers here.
    """
    found: dict[str, Tensor] = {"trained": torch.tensor([True, True, head.av is not None])}
    rest = set(tensors)
    for name, own in head.state_dict().items():
        theirs = "" if name in found else ".".join(released(name))
        if theirs in tensors:
            rest.discard(theirs)
            value = tensors[theirs]
            of_one_frame = value.ndim == own.ndim + 1 and value.shape[-1] == 1
            value = value.squeeze(-1) if of_one_frame else value
            found[name] = value.float() if value.is_floating_point() else value
    return found, rest


def from_shapes(shapes: Shapes) -> Flat:
    """What --set may change, with the sizes of the weights and the rest as published."""
    hidden, projection = shapes["acoustic.x_acoustic.encoder.input_projection.0.linear.weight"]
    block = "acoustic.x_acoustic.encoder.layers.0.sequential."
    layers = {
        f"{ours}_layers": len({n.split(".")[4] for n in shapes if n.startswith(prefix)})
        for ours, prefix in (
            ("audio", "acoustic.x_acoustic.encoder.layers."),
            ("video", "visual.x_visual.encoder.layers."),
            ("shared", "shared.x_shared.encoder.layers."),
        )
    }
    return {
        "projection": projection,
        "hidden": hidden,
        "units": shapes["MLP_a.projav2.weight"][0],
        "attention_heads": shapes[f"{block}1.module.attention.u_bias"][0],
        "kernel": shapes[f"{block}2.module.sequential.4.conv.weight"][2],
        **layers,
        "residual": True,
        "reconstruction": "MLP_rec_a.projav1.weight" in shapes,
        "av_head": "weights.projav1.weight" in shapes,
        "label": "emotion",
        "classes": (),
    }


def _outputs(shapes: Shapes) -> Flat:
    return {"outputs": shapes["MLP_a.out_layer.weight"][0]}


def _check(said: Flat, flat: Flat) -> None:
    """Raises UsageError for values of --set that are of another type than those of the weights,
    flat: `residual=False`, which is a word, would count as true."""
    for name, value in said.items():
        if name == "label" and not str(value).strip():
            raise UsageError("--set label=: expected the name of a label, such as emotion")
        known = type(flat[name])
        if name not in ("label", "classes") and type(value) is not known:
            example = "true or false" if known is bool else "a whole number"
            raise UsageError(f"--set {name}={value}: expected {example}")


def _labels(flat: Flat, outputs: int) -> tuple[Readout, ...]:
    """The labels of the outputs: three attributes, or the classes that --set names."""
    classes = flat["classes"]
    if isinstance(classes, str):
        classes = [name.strip() for name in classes.split(",")]
    if not classes and outputs == len(_ATTRIBUTES):
        return tuple(Readout(name, "scalar", value=True) for name in _ATTRIBUTES)
    names = [str(name) for name in classes] if isinstance(classes, Sequence) else []
    if not len(names) == len(set(names) - {""}) == outputs:
        raise DataError(
            f"it has {count_of(outputs, 'output')}, whose names its files do not hold: name its "
            "classes in the order of its training, --set classes=anger,disgust,..."
        )
    flat["classes"] = names
    return (Readout(str(flat["label"]), "class", classes=outputs),)


def _configuration(flat: Flat, shapes: Shapes, of_attributes: bool) -> VAVLConfiguration:
    options: dict[str, Any] = {k: v for k, v in flat.items() if k not in ("label", "classes")}
    inputs = tuple(
        HeadInput(modality, shapes[name][1], _RATES[modality])
        for modality, name in (
            (AUDIO, "acoustic.conv_1d_a.weight"), (VIDEO, "visual.conv_1d_v.weight")
        )
    )  # fmt: skip
    try:
        return VAVLConfiguration(
            inputs=inputs,
            outputs=shapes["MLP_a.out_layer.weight"][0],
            reconstruction_weight=1.0 if of_attributes else 2.0,
            **options,
        )
    except (TypeError, UsageError) as error:
        # Of the weights' own sizes; `import` has no --head-option.
        words = str(error).removeprefix("--head-option ")
        raise DataError(f"no model has these settings: {words}") from error


@dataclass(frozen=True)
class Released:
    """What the released program computes of a modality, (B, T, hidden), and (B, hidden), (B,
    outputs), (B, inputs) of it."""

    encoded: Tensor
    shared: Tensor
    predicted: Tensor
    reconstructed: Tensor | None


def as_released(head: VAVLHead, values: Mapping[str, Tensor]) -> tuple[dict[str, Released], Tensor]:
    """What the released program gives for audio and video (B, T, inputs), and its audiovisual
    prediction (B, outputs); in evaluation mode.

    It hands (T, B, D) to conformers that read (B, T, D): attention and convolution go over the
    utterances of the batch, and padding counts. This is to check weights alone.
    """
    found = {}
    for modality, branch in ((AUDIO, head.audio), (VIDEO, head.video)):
        encoded = _across(branch.encoder, branch.project(values[modality]))
        shared = _across(head.layers.encoder, encoded)
        if head.layers.residual:
            shared = shared + encoded
        shared = head.layers.norm(shared).mean(dim=1)
        rebuilt = None if branch.reconstruct is None else branch.reconstruct(shared)
        found[modality] = Released(encoded, shared, branch.predict(shared), rebuilt)
    both = [found[modality] for modality in (AUDIO, VIDEO)]
    if head.av is None:
        return found, (both[0].predicted + both[1].predicted) / 2
    return found, head.av(torch.cat([one.shared for one in both], dim=1))


def _across(encoder: Encoder, values: Tensor) -> Tensor:
    swapped = values.transpose(0, 1)
    lengths = torch.full((len(swapped),), swapped.shape[1], device=values.device)
    return encoder(Frames(swapped, lengths)).values.transpose(0, 1)
