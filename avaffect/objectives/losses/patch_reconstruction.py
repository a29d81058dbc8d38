"""Mean squared error of reconstructed patches (He et al. 2022, masked autoencoders)."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6


def patch_errors(predicted: Tensor, patches: Tensor, normalise: bool = False) -> Tensor:
    """predicted, patches (..., values) -> (...) mean squared error of each patch, float32.

    normalise: each patch is first brought to mean 0 and variance 1 (unbiased), as CAV-MAE does.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        dtype = torch.promote_types(predicted.dtype, torch.float32)
        wanted = normalised(patches.to(dtype)) if normalise else patches.to(dtype)
        return (predicted.to(dtype) - wanted).square().mean(dim=-1)


def normalised(patches: Tensor) -> Tensor:
    """patches (..., values), each with mean 0 and variance 1."""
    mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)
    return (patches - mean) / (variance + EPSILON).sqrt()
