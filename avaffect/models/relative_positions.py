"""Biases of attention by the distance of two frames, in buckets (Raffel et al. 2020, T5; WavLM)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def buckets_of(frames: int, buckets: int, distance: int, device: torch.device) -> Tensor:
    """(frames, frames) int64: the bucket of key k as query q (row) sees it.

    Half of the buckets are for keys after the query. Of each half, half hold one distance each, and
    the rest grow with the logarithm of the distance; all from `distance` on share the last.
    """
    steps = torch.arange(frames, device=device)
    apart = steps[None] - steps[:, None]
    half = buckets // 2
    exact = half // 2
    far = apart.abs()
    growth = torch.log(far.clamp(min=1).float() / exact) / math.log(distance / exact)
    grown = (exact + growth * (half - exact)).long().clamp(max=half - 1)
    return (apart > 0) * half + torch.where(far < exact, far, grown)
