"""Patches of spectrograms and of pictures, for encoders of tokens, and fixed positions of them.

An order of patches and of the values in each is part of what weights mean: that of CAV-MAE (Gong et
al. 2023) and Social-MAE (Bohy et al. 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor


def spectrum_patches(spectrum: Tensor, size: int) -> Tensor:
    """(B, T, bands) -> (B, bands / size * T / size, size * size): bands vary slowest, then time; in
    a patch likewise."""
    x = spectrum.transpose(1, 2).unflatten(2, (-1, size)).unflatten(1, (-1, size))
    return x.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)


def spectrum_of(patches: Tensor, size: int, bands: int) -> Tensor:
    """The inverse of `spectrum_patches`."""
    x = patches.unflatten(1, (bands // size, -1)).unflatten(3, (size, size))
    return x.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2).transpose(1, 2)


def picture_patches(pictures: Tensor, size: int, tube: int) -> Tensor:
    """(B, T, H, W, C) -> (B, H / size * W / size * T / tube, tube * size * size * C): time varies
    fastest among patches; in a patch (time, row, column, channel)."""
    x = pictures.unflatten(3, (-1, size)).unflatten(2, (-1, size)).unflatten(1, (-1, tube))
    return x.permute(0, 3, 5, 1, 2, 4, 6, 7).flatten(4).flatten(1, 3)


def pictures_of(patches: Tensor, size: int, tube: int, side: int) -> Tensor:
    """The inverse of `picture_patches`, for pictures of side x side with 3 channels."""
    x = patches.unflatten(1, (side // size, side // size, -1)).unflatten(4, (tube, size, size, 3))
    return x.permute(0, 3, 4, 1, 5, 2, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


def sine_cosine(dim: int, rows: int, columns: int) -> Tensor:
    """(rows * columns, dim) fixed positions on a grid: the first half of the dimensions for the
    column, the second for the row (He et al. 2022, masked autoencoders)."""
    places = torch.arange(rows * columns)
    row = torch.div(places, columns, rounding_mode="floor")
    return torch.cat([_waves(dim // 2, places % columns), _waves(dim // 2, row)], dim=1)


def sine_cosine_in_time(dim: int, side: int, steps: int) -> Tensor:
    """(side * side * steps, dim) fixed positions of patches of pictures over time, which varies
    fastest: those on the grid, and with several steps those of time added."""
    space = sine_cosine(dim, side, side)[:, None]
    time = _waves(dim, torch.arange(steps)) * float(steps > 1)
    return (space + time).flatten(0, 1)


def _waves(dim: int, places: Tensor) -> Tensor:
    """(N,) -> (N, dim): sines, then cosines, of wavelengths from 2 pi to 20,000 pi."""
    rates = 10000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = places.double()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


def visible(noise: Tensor, masked: float) -> Tensor:
    """noise (B, N) -> (B, K) int64: the patches that are not masked, K = floor of the share 1 -
    `masked` of N, but at least 1, those with the least noise, in its order."""
    count = max(1, int(noise.shape[1] * (1.0 - masked)))
    return noise.argsort(dim=1, stable=True)[:, :count]


def hidden(kept: Tensor, count: int) -> Tensor:
    """kept (B, K) -> (B, count) bool: True for patches that are masked."""
    mask = torch.ones(len(kept), count, dtype=torch.bool, device=kept.device)
    return mask.scatter(1, kept, False)


def gathered(values: Tensor, kept: Tensor) -> Tensor:
    """values (B, N, D), kept (B, K) -> (B, K, D)"""
    return values.gather(1, kept[..., None].expand(-1, -1, values.shape[2]))
