"""Weak and strong views of clips: flip and shift, and random operations (RandAugment, Cubuk et al.
2020) with magnitudes drawn at random, as in FixMatch (Sohn et al. 2020, appendix D).

Clips and lengths as in `signal.augmentations`: grey, from 0 to 1; one draw changes all pictures of
a clip alike. `color` of the paper's list is left out, as it changes nothing that is grey.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.signal import draws
from avaffect.signal.augmentations import flip, in_turn

# Largest shift of the weak view and of a strong operation, as a share of the side.
WEAK_SHIFT, STRONG_SHIFT = 0.125, 0.3
OPERATIONS_AT_A_TIME = 2
# Largest side of the square that is cut out, as a share of the width.
CUT_OUT = 0.5
GREY = 0.5
LEVELS = 256

# pictures (T, H, W) of a clip, its valid ones (t, H, W), a magnitude -> (T, H, W)
Operation = Callable[[Tensor, Tensor, float], Tensor]


def shift(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Up to 12.5 % of the side up or down, and left or right, in whole pixels; edges are
    mirrored."""
    shifted = torch.empty_like(clips)
    drawn = draws.uniform(generator, len(clips), 2, dtype=torch.float64).tolist()
    for row, places in enumerate(drawn):
        clip = clips[row]
        for axis, place in zip((1, 2), places):
            most = int(WEAK_SHIFT * clip.shape[axis])
            by = min(int(place * (2 * most + 1)), 2 * most) - most
            clip = clip.index_select(axis, _mirrored(clip.shape[axis], by).to(clips.device))
        shifted[row] = clip
    return shifted


def _mirrored(side: int, by: int) -> Tensor:
    """(side,) the pixel that is seen at each place after a shift, |by| < side"""
    places = (torch.arange(side) - by).abs()
    return torch.where(places >= side, 2 * (side - 1) - places, places)


flip_and_shift = in_turn(flip, shift)
"""FixMatch's weak view."""


def random_operations(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Two operations of `OPERATIONS`, each drawn with its magnitude, uniform in its range; then a
    grey square, with its side and its centre, which may be cut by the edge."""
    changed = torch.empty_like(clips)
    drawn = draws.uniform(generator, len(clips), OPERATIONS_AT_A_TIME, 2).tolist()
    squares = draws.uniform(generator, len(clips), 3).tolist()
    for row, (chosen, square) in enumerate(zip(drawn, squares)):
        clip, length = clips[row], max(1, int(lengths[row]))
        for which, place in chosen:
            operation, low, high = OPERATIONS[int(which * len(OPERATIONS))]
            clip = operation(clip, clip[:length], low + place * (high - low))
        changed[row] = cut_out(clip, *square)
    return changed.clamp(0.0, 1.0)


def cut_out(pictures: Tensor, side: float, row: float, column: float) -> Tensor:
    """(T, H, W) with a grey square: side, row and column from 0 to 1."""
    height, width = pictures.shape[1:]
    half = side * CUT_OUT * width / 2
    rows = (torch.arange(height) + 0.5 - row * height).abs() < half
    columns = (torch.arange(width) + 0.5 - column * width).abs() < half
    inside = (rows[:, None] & columns[None]).to(pictures.device)
    return torch.where(inside, GREY, pictures)


def autocontrast(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    low, high = valid.min(), valid.max()
    return torch.where(high > low, (pictures - low) / (high - low).clamp(min=1e-6), pictures)


def brightness(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    return value * pictures


def contrast(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    mean = valid.mean()
    return mean + value * (pictures - mean)


def equalise(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    """So that levels of grey are equally frequent in the clip."""
    levels = (valid * (LEVELS - 1)).round().long().flatten()
    below = torch.bincount(levels, minlength=LEVELS).cumsum(0)
    first = below[levels.min()]
    spread = (below - first).clamp(min=0) / (below[-1] - first).clamp(min=1)
    found = spread[(pictures * (LEVELS - 1)).round().long().clamp(0, LEVELS - 1)]
    return torch.where(below[-1] > first, found.to(pictures.dtype), pictures)


def identity(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    return pictures


def posterise(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    """The first 4 to 8 bits of a pixel"""
    step = 2 ** (8 - int(value))
    return ((pictures * (LEVELS - 1)).round() / step).floor() * step / (LEVELS - 1)


def sharpness(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    """Between a blurred picture (0) and the picture itself (1)"""
    kernel = torch.ones(1, 1, 3, 3, dtype=pictures.dtype, device=pictures.device)
    kernel[0, 0, 1, 1] = 5.0
    padded = F.pad(pictures[:, None], (1, 1, 1, 1), mode="replicate")
    blurred = F.conv2d(padded, kernel / kernel.sum())[:, 0]
    return blurred + value * (pictures - blurred)


def solarise_above(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    return torch.where(pictures > value, 1.0 - pictures, pictures)


def rotate(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    """By `value` degrees, clockwise"""
    angle = math.radians(value)
    aspect = pictures.shape[1] / pictures.shape[2]
    sine, cosine = math.sin(angle), math.cos(angle)
    return _affine(pictures, ((cosine, sine * aspect, 0.0), (-sine / aspect, cosine, 0.0)))


def shear_x(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    aspect = pictures.shape[1] / pictures.shape[2]
    return _affine(pictures, ((1.0, value * aspect, 0.0), (0.0, 1.0, 0.0)))


def shear_y(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    aspect = pictures.shape[1] / pictures.shape[2]
    return _affine(pictures, ((1.0, 0.0, 0.0), (value / aspect, 1.0, 0.0)))


def shift_x(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    """To the left by this share of the width"""
    return _affine(pictures, ((1.0, 0.0, 2.0 * value), (0.0, 1.0, 0.0)))


def shift_y(pictures: Tensor, valid: Tensor, value: float) -> Tensor:
    return _affine(pictures, ((1.0, 0.0, 0.0), (0.0, 1.0, 2.0 * value)))


def _affine(pictures: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Pictures seen at matrix (2, 3) times each place, places from -1 to 1; grey outside."""
    theta = torch.tensor(matrix, dtype=pictures.dtype, device=pictures.device)[None]
    grid = F.affine_grid(theta, [1, 1, *pictures.shape[1:]], align_corners=False)
    # The pictures as channels: all are seen through one grid.
    seen = F.grid_sample(pictures[None] - GREY, grid, align_corners=False)
    return seen[0] + GREY


OPERATIONS: tuple[tuple[Operation, float, float], ...] = (
    (autocontrast, 0.0, 1.0),
    (brightness, 0.05, 0.95),
    (contrast, 0.05, 0.95),
    (equalise, 0.0, 1.0),
    (identity, 0.0, 1.0),
    (posterise, 4.0, 9.0),
    (rotate, -30.0, 30.0),
    (sharpness, 0.05, 0.95),
    (shear_x, -0.3, 0.3),
    (shear_y, -0.3, 0.3),
    (solarise_above, 0.0, 1.0),
    (shift_x, -STRONG_SHIFT, STRONG_SHIFT),
    (shift_y, -STRONG_SHIFT, STRONG_SHIFT),
)
"""Each with the range of its magnitude."""

strong_view = in_turn(flip_and_shift, random_operations)
"""FixMatch's strong view: operations on a weak one."""
