"""Weights of CAV-MAE for another number of pictures (Bohy et al. 2024: Social-MAE from CAV-MAE):
those that depend on it begin anew, or repeat those for one picture over time (inflation, Carreira
and Zisserman 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avaffect.core.streams import FACE
from avaffect.models.cavmae import CAVMAE, CAVMAEConfiguration
from avaffect.models.cavmae_decoder import CAVMAEDecoder, DecoderConfiguration

PLACES = ("pos_embed_v",)
EMBEDDING = ("patch_embed_v.proj.weight", "patch_embed_v.proj.bias", "pos_embed_v")
DECODER = ("pos_embed_v", "pred_v.weight", "pred_v.bias")


def extended(encoder: CAVMAE, pictures: int, inflate: bool) -> CAVMAE:
    """An encoder that reads so many pictures, in tubes of two where there are several.

    inflate: the given one reads one picture; its patch embedding is repeated over time, so that a
    still video gives the same tokens but for their positions, to which those of time are added.
    """
    tube = 1 if pictures == 1 else 2
    c = replace(encoder.configuration, pictures=pictures, tube=tube)
    larger = CAVMAE(c)
    known = encoder.state_dict()
    new = _new(known, larger.state_dict(), EMBEDDING)
    if inflate:
        weight, bias, places = (known[name] for name in EMBEDDING)
        new = dict(zip(EMBEDDING, (_tiled(weight, tube, 1) / tube, bias, _over_time(places, c))))
    larger.load_state_dict({**known, **new})
    larger.train(encoder.training)
    return larger


def extended_decoder(
    weights: Mapping[str, Tensor], configuration: DecoderConfiguration, read: CAVMAEConfiguration,
    inflate: bool,
) -> dict[str, Tensor]:  # fmt: skip
    """The weights of a decoder of one picture for those of `read`, the encoder's configuration
    after `extended`."""
    fresh = CAVMAEDecoder(configuration, read).state_dict()
    new = _new(weights, fresh, DECODER)
    if inflate:
        places, weight, bias = (weights[name] for name in DECODER)
        values = (_over_time(places, read), _tiled(weight, read.tube, 0), bias.repeat(read.tube))
        new = dict(zip(DECODER, values))
    return {**weights, **new}


def _new(
    known: Mapping[str, Tensor], fresh: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Those of the names whose weights begin anew: of one patch, only where it is another."""
    same = all(known[name].shape == fresh[name].shape for name in names if name not in PLACES)
    return {name: fresh[name] for name in names if name in PLACES or not same}


def _tiled(weight: Tensor, times: int, dim: int) -> Tensor:
    """Values of a patch vary slowest with time."""
    return torch.cat([weight] * times, dim=dim)


def _over_time(places: Tensor, c: CAVMAEConfiguration) -> Tensor:
    """(1, patches of one picture, dim) -> (1, patches, dim)"""
    steps, dim = c.pictures // c.tube, places.shape[2]
    whole = c.grid(FACE, dim)
    still = replace(c, pictures=1, tube=1).grid(FACE, dim)
    time = whole - still.repeat_interleave(steps, dim=1)
    return places.repeat_interleave(steps, dim=1) + time
