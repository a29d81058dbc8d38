"""CAV-MAE (Gong et al. 2023) and Social-MAE (Bohy et al. 2024), pre-trained or fine-tuned, as their
authors' programs save them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, replace

import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.models.cavmae import CAVMAE, LETTERS, CAVMAEConfiguration
from avaffect.models.cavmae_decoder import CAVMAEDecoder, DecoderConfiguration
from avaffect.models.published import configuration, conversion
from avaffect.models.published.configuration import Flat, Shapes
from avaffect.models.published.conversion import Kind
from avaffect.models.published.names import Layout
from avaffect.models.published.source import Converted, Pretext, Source, Warn

TITLE = "CAV-MAE or Social-MAE"
_MARKERS = ("modality_a", "modality_v", "pos_embed_a", "pos_embed_v", "blocks_u.0.attn.qkv.weight")
_HEADS = ("mlp_head", "mlp_head2", "mlp_head_concat")
_HEAD_DIM = 64
_DECODER_HEAD_DIM = 32
# Social-MAE reads eight pictures, in tubes of two; its code never left OpenCV's order of colours.
_SOCIAL_PICTURES = 8
_SOCIAL = {"colours": "bgr", "spectrum_mean": -6.2943, "spectrum_std": 12.26344}


def recognise(source: Source) -> bool | None:
    """Recognised by the names of its streams' parameters."""
    return _prefix(source.tensors) is not None


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole CAV-MAE or Social-MAE."""
    prefix = _prefix(source.tensors)
    if prefix is None:
        raise DataError("it holds no known encoder")
    tensors, decoder, left = translate(source.tensors, prefix)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    flat = configuration.read_shapes(from_shapes, shapes)
    social = flat["tube"] > 1
    given: Flat = dict(_SOCIAL) if social else {}
    given |= _other_pictures(flat, shapes, configuration.parse(source.assignments, flat))
    encoder = conversion.built(KIND, shapes, given, source.assignments, warn)
    assert isinstance(encoder, CAVMAE)
    conversion.load(encoder, tensors, [])
    if _positions_are_fixed(encoder):
        encoder = CAVMAE(replace(encoder.configuration, positions="fixed"))
        encoder.load_state_dict(tensors)
    conversion.try_out(encoder)
    pretext = _pretext(encoder, decoder, social) if decoder else None
    return Converted(encoder, Layout("authors", prefix), None, 0, {}, left, pretext)


def translate(
    tensors: Mapping[str, Tensor], prefix: str = ""
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """The encoder's and the decoder's weights under our names and in our shapes; names of weights
    of a head of labels, or outside of the prefix.

    The projections of attention are divided, and kernels of patch embeddings made matrices on the
    values of a patch in our order.
    """
    encoder: dict[str, Tensor] = {}
    decoder: dict[str, Tensor] = {}
    left = []
    for name, value in tensors.items():
        inner = name.removeprefix(prefix)
        if not name.startswith(prefix) or inner.split(".")[0] in _HEADS:
            left.append(name)
            continue
        of_decoder = inner == "mask_token" or inner.startswith("decoder_")
        known = decoder if of_decoder else encoder
        value = value.float() if value.is_floating_point() else value
        known |= _parts(inner.removeprefix("decoder_"), value)
    return encoder, decoder, left


def _parts(name: str, value: Tensor) -> dict[str, Tensor]:
    if ".attn.qkv." in name:
        thirds = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3))
        return {name.replace("qkv", part): third for part, third in thirds}
    if name == "patch_embed_a.proj.weight":
        value = value.flatten(1)
    elif name == "patch_embed_v.proj.weight":
        # (dim, channel, row, column, and of tubes time) -> (time, row, column, channel)
        kernel = value if value.ndim == 5 else value[..., None]
        value = kernel.permute(0, 4, 2, 3, 1).flatten(1)
    return {name.replace(".attn.proj.", ".attn.out_proj."): value}


def from_shapes(shapes: Shapes) -> Flat:
    """The configuration from the shapes of its weights, the rest as published."""
    dim = shapes["modality_a"][2]
    patch = math.isqrt(shapes["patch_embed_a.proj.weight"][1])
    tube = shapes["patch_embed_v.proj.weight"][1] // (3 * patch**2)
    pictures = _SOCIAL_PICTURES if tube > 1 else 1
    published = CAVMAEConfiguration()
    side = math.isqrt(shapes["pos_embed_v"][1] * tube // pictures)
    return configuration.flatten(published) | {
        "dim": dim,
        "heads": max(1, dim // _HEAD_DIM),
        "ffn_dim": shapes["blocks_u.0.mlp.fc1.weight"][0],
        "layers": _count(shapes, "blocks_a"),
        "joint_layers": _count(shapes, "blocks_u"),
        "patch": patch,
        "pictures": pictures,
        "tube": tube,
        "face_size": side * patch,
        "spectrum_frames": shapes["pos_embed_a"][1] * patch**2 // published.bands,
    }


def _other_pictures(flat: Flat, shapes: Shapes, said: Flat) -> Flat:
    """The side of pictures of another number than the published one, or their number at another
    side: the positions give their product alone.

    Raises DataError where the positions are of no whole number of either.
    """
    positions, patch, tube = shapes["pos_embed_v"][1], flat["patch"], flat["tube"]
    number, side = said.get("pictures"), said.get("face_size")
    if (number is None) == (side is None):
        return {}
    if isinstance(number, int) and number > 0:
        across = math.isqrt(positions * tube // number)
        if across**2 * number == positions * tube:
            return {"face_size": across * patch}
    if isinstance(side, int) and side >= patch:
        across = side // patch
        if positions * tube % across**2 == 0:
            return {"pictures": positions * tube // across**2}
    what = f"pictures={number}" if side is None else f"face_size={side}"
    raise DataError(
        f"--set {what}: its {positions} positions of faces are of {flat['pictures']} pictures of "
        f"{flat['face_size']} pixels, or of others whose patches of {patch} pixels, in tubes of "
        f"{tube}, are as many"
    )


def _count(shapes: Mapping[str, object], blocks: str) -> int:
    """Number of layers whose names begin so."""
    pattern = re.compile(rf"{blocks}\.(\d+)\.")
    return 1 + max((int(m[1]) for m in map(pattern.match, shapes) if m), default=-1)


def _pretext(encoder: CAVMAE, decoder: Mapping[str, Tensor], social: bool) -> Pretext:
    """Its pre-training. Raises Unfit where the decoder's weights are not whole."""
    dim = decoder["mask_token"].shape[2] if "mask_token" in decoder else encoder.dim
    sizes = DecoderConfiguration(dim, _count(decoder, "blocks"), max(1, dim // _DECODER_HEAD_DIM))
    conversion.load(CAVMAEDecoder(sizes, encoder.configuration), decoder, [])
    # CAV-MAE's targets were normalised; Social-MAE's were not, and in an order of their own.
    order = "released" if social else "encoder"
    settings = {"decoder": asdict(sizes), "normalise": not social, "video_order": order}
    weights = {f"decoder.{name}": value for name, value in decoder.items()}
    return Pretext("masked_autoencoding", settings, weights)


def _positions_are_fixed(encoder: CAVMAE) -> bool:
    c = encoder.configuration
    pairs = (
        (encoder.get_parameter(f"pos_embed_{letter}"), c.grid(stream, c.dim))
        for stream, letter in LETTERS.items()
    )
    return all(torch.allclose(own, fixed, atol=1e-5) for own, fixed in pairs)


def _prefix(tensors: Mapping[str, Tensor]) -> str | None:
    """What stands before the names of its weights ("module."); None where they are no such
    model's."""
    for name in tensors:
        prefix = name.removesuffix(_MARKERS[0])
        whole = prefix != name and prefix[-1:] in ("", ".")
        if whole and all(prefix + marker in tensors for marker in _MARKERS):
            return prefix
    return None


KIND = Kind(CAVMAEConfiguration, CAVMAE, from_shapes)
