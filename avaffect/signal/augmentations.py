"""Augmentations of face crops, for training.

Clips are grey pictures (B, T, H, W), floating point from 0 to 1, with lengths (B,) in pictures; the
values past a clip's length are arbitrary. One random draw a clip changes all of its pictures alike,
unless stated otherwise. Draws come from a CPU generator on every device.

The downstream augmentations, by name, are those of Jegorova et al. 2023 (SS-VAERR), section V-D.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.errors import UsageError
from avaffect.core.nouns import count_of
from avaffect.signal import draws, ranks

Augmentation = Callable[[Tensor, Tensor, torch.Generator], Tensor]

# 80 pixels of 96, as in the paper for RECOLA.
CROP_SHARE = 5 / 6
SQUARES, SQUARES_AREA = 5, 0.25
MISSING_SHARE = 0.2
SOLARISED_SHARE = 0.2
NOISE_DENSITY = 0.05
# Standard deviations of BYOL's blur in pixels, for pictures of 224 pixels.
BLUR, BLUR_SIDE = (0.1, 2.0), 224
# Configurations of squares that are drawn at a time, until one has no overlap.
_TRIES = 64


def augmentation(name: str, crop: int | None = None) -> Augmentation:
    """The augmentation of this name, or several one after the other: "flip+salt-pepper".

    flip         mirror with probability 0.5
    crop         a random crop of `crop` x `crop` pixels, by default 5/6 of the height
    crop-out     five black squares that cover a quarter of the picture
    missing      round(0.2 T) black pictures in a clip
    solarise     invert the pixels above the clip's mean, in 20 % of the clips
    salt-pepper  2.5 % white and 2.5 % black pixels, drawn anew for each picture

    Raises UsageError for an unknown name, and, when it is applied, for pictures smaller than the
    crop.
    """
    known: dict[str, Augmentation] = {
        "flip": flip,
        "crop": partial(random_crop, size=crop),
        "crop-out": crop_out,
        "missing": missing_frames,
        "solarise": sometimes(solarise, SOLARISED_SHARE),
        "salt-pepper": salt_and_pepper,
    }
    parts = name.split("+")
    for part in parts:
        if part not in known:
            raise UsageError(
                f"unknown augmentation {part!r}: choose from {', '.join(known)}, or join several "
                "with +, as in flip+missing"
            )
    return in_turn(*(known[part] for part in parts))


def in_turn(*steps: Augmentation) -> Augmentation:
    """Apply augmentations one after the other."""

    def apply(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        for step in steps:
            clips = step(clips, lengths, generator)
        return clips

    return apply


def sometimes(step: Augmentation, probability: float) -> Augmentation:
    """`step` on each clip with this probability; it must keep the size of pictures."""

    def apply(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        chosen = draws.uniform(generator, len(clips)) < probability
        if not ranks.whole(chosen).any():
            return clips
        rows = chosen.nonzero().flatten().to(clips.device)
        with ranks.among(chosen):
            changed = step(clips[rows], lengths[rows], generator)
        return clips.index_copy(0, rows, changed)

    return apply


def flip(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror left to right with probability 0.5."""
    chosen = draws.uniform(generator, len(clips)) < 0.5
    return torch.where(_rows(chosen, clips), clips.flip(3), clips)


def random_crop(
    clips: Tensor, lengths: Tensor, generator: torch.Generator, size: int | None = None
) -> Tensor:
    """(B, T, H, W) -> (B, T, size, size) at a random place; by default 5/6 of the height.

    Raises UsageError if the pictures are smaller.
    """
    height, width = clips.shape[2:]
    size = round(CROP_SHARE * height) if size is None else size
    if size > min(height, width):
        raise UsageError(
            f"a crop of {size} x {count_of(size, 'pixel')} is larger than the faces ({width} x "
            f"{height}): choose a smaller one, or preprocess with a larger --size"
        )
    count = len(clips)
    tops, lefts = (
        draws.below(generator, side - size + 1, count).tolist() for side in (height, width)
    )
    cropped = clips.new_empty(*clips.shape[:2], size, size)
    for row, (top, left) in enumerate(zip(tops, lefts)):
        cropped[row] = clips[row, :, top : top + size, left : left + size]
    return cropped


def random_resized_crop(
    clips: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
    size: int,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """(B, T, H, W) -> (B, T, size, size): a random rectangle, resized with antialiasing.

    area: range of the rectangle's share of the picture, uniform; aspect: range of width / height,
    uniform on a logarithmic scale (Szegedy et al. 2015). Rectangles are clipped to the picture. The
    result is that of bilinear interpolation with antialiasing (F.interpolate).
    """
    count = len(clips)
    shares = _uniform(count, area, generator)
    ratios = _uniform(count, tuple(math.log(a) for a in aspect), generator).exp()
    whole = shares * clips.shape[2] * clips.shape[3]
    weights = []
    for side, extent in zip(clips.shape[2:], ((whole / ratios).sqrt(), (whole * ratios).sqrt())):
        extent = extent.round().clamp(1, side)
        places = draws.uniform(generator, count, dtype=torch.float64)
        starts = (places * (side - extent + 1)).floor()
        weights.append(_resampling(starts, extent, side, size).to(clips.device, clips.dtype))
    rows, columns = weights
    # Resizing is linear: two matrix products resize all clips, whatever their rectangles.
    return rows[:, None] @ clips @ columns[:, None].transpose(2, 3)


def crop_out(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Five black squares without overlap that together cover a quarter of the picture.

    Their sides are whole pixels, so that the area is approximate.
    """
    height, width = clips.shape[2:]
    sides = _square_sides(height, width)

    def drawn(rows: int) -> Tensor:
        shown = torch.ones(rows, 1, height, width, dtype=torch.bool)
        for row in shown:
            for top, left, side in zip(*_places(sides, height, width, generator), sides):
                row[:, top : top + side, left : left + side] = False
        return shown

    return clips * ranks.draw(len(clips), drawn).to(clips.device)


def missing_frames(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Blacken exactly round(0.2 T) of the T pictures of each clip."""

    def drawn(lengths: Tensor) -> Tensor:
        shown = torch.ones(len(lengths), clips.shape[1], dtype=torch.bool)
        for row, length in enumerate(lengths.tolist()):
            lost = torch.randperm(length, generator=generator)[: round(MISSING_SHARE * length)]
            shown[row, lost] = False
        return shown

    return clips * ranks.over_all(drawn, lengths)[..., None, None].to(clips.device)


def solarise(
    clips: Tensor, lengths: Tensor, generator: torch.Generator, threshold: float | None = None
) -> Tensor:
    """1 - x where x is above the threshold, by default the mean of the clip."""
    level = clip_means(clips, lengths) if threshold is None else threshold
    return torch.where(clips > level, 1.0 - clips, clips)


def salt_and_pepper(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Each pixel of each picture is white with probability 0.025, and black with the same."""
    drawn = draws.uniform(generator, *clips.shape).to(clips.device)
    noisy = torch.where(drawn < NOISE_DENSITY / 2, 0.0, clips)
    return torch.where(drawn >= 1.0 - NOISE_DENSITY / 2, 1.0, noisy)


def jitter(
    clips: Tensor, lengths: Tensor, generator: torch.Generator, strength: float = 0.4
) -> Tensor:
    """Jitter of brightness and contrast (Grill et al. 2020, appendix B).

    Brightness: an offset of -strength to strength. Contrast: differences from the clip's mean are
    multiplied by 1 - strength to 1 + strength. The order of the two makes no difference; the result
    is clipped to 0 to 1.
    """
    offset = _uniform(len(clips), (-strength, strength), generator)
    factor = _uniform(len(clips), (1.0 - strength, 1.0 + strength), generator)
    mean = clip_means(clips, lengths)
    changed = (clips - mean) * _rows(factor, clips) + (mean + _rows(offset, clips))
    return changed.clamp(0.0, 1.0)


def gaussian_blur(clips: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """BYOL's blur: a standard deviation of 0.1 to 2 pixels for pictures of 224 pixels, in
    proportion for smaller ones. Edges are mirrored."""
    scale = clips.shape[3] / BLUR_SIDE
    deviations = _uniform(len(clips), (BLUR[0] * scale, BLUR[1] * scale), generator)
    if len(clips) == 0:
        return clips
    radius = max(1, math.ceil(3 * BLUR[1] * scale))
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernels = (-0.5 * (places / deviations[:, None]).square()).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(clips.device, clips.dtype)
    padded = F.pad(clips, (radius,) * 4, mode="reflect").transpose(0, 1)
    for shape in ((1, -1), (-1, 1)):
        weight = kernels.view(len(clips), 1, *shape)
        padded = F.conv2d(padded, weight, groups=len(clips))
    return padded.transpose(0, 1)


def clip_means(clips: Tensor, lengths: Tensor) -> Tensor:
    """(B, 1, 1, 1) mean of all pixels of a clip; 0 for an empty clip."""
    of_frames = clips.mean((2, 3))
    steps = torch.arange(clips.shape[1], device=clips.device)
    valid = steps < lengths[:, None]
    total = torch.where(valid, of_frames, 0.0).sum(1)
    return (total / lengths.clamp(min=1)).view(-1, 1, 1, 1)


def _rows(values: Tensor, clips: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1) on the device of the clips."""
    values = values.view(-1, 1, 1, 1)
    return values.to(clips.device, clips.dtype if values.is_floating_point() else values.dtype)


def _uniform(count: int, bounds: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """(count,) float64 within the bounds."""
    drawn = draws.uniform(generator, count, dtype=torch.float64)
    return bounds[0] + drawn * (bounds[1] - bounds[0])


def _resampling(starts: Tensor, extents: Tensor, side: int, size: int) -> Tensor:
    """(B, size, side) weights that resize `extents` (B,) pixels from `starts` (B,) on to `size`
    pixels: triangles, at least two pixels wide."""
    scale = (extents / size)[:, None, None]
    centres = starts[:, None, None] + (torch.arange(size)[None, :, None] + 0.5) * scale
    places = torch.arange(side)[None, None] + 0.5
    weights = (1.0 - (places - centres).abs() / scale.clamp(min=1.0)).clamp(min=0.0)
    inside = (places > starts[:, None, None]) & (places < (starts + extents)[:, None, None])
    weights = weights * inside
    return weights / weights.sum(2, keepdim=True)


def _square_sides(height: int, width: int) -> list[int]:
    """Sides of the squares: one whole number, or it and the next one."""
    wanted = SQUARES_AREA * height * width
    small = math.isqrt(int(wanted / SQUARES))
    choices = [[small + (n < large) for n in range(SQUARES)] for large in range(SQUARES + 1)]
    return min(choices, key=lambda sides: abs(sum(side * side for side in sides) - wanted))


def _places(
    sides: list[int], height: int, width: int, generator: torch.Generator
) -> tuple[list[int], list[int]]:
    """Tops and lefts of squares, uniform among all placements without overlap."""
    lengths = torch.tensor(sides)
    if int(lengths.max()) > min(height, width):
        raise UsageError(
            f"the squares of crop-out do not fit into pictures of {width} x {height}: preprocess "
            "with a larger --size"
        )
    first, second = torch.triu_indices(len(sides), len(sides), 1)
    while True:
        drawn = torch.rand(_TRIES, 2, len(sides), generator=generator, dtype=torch.float64)
        room = torch.tensor([[height], [width]]) - lengths + 1
        places = (drawn * room).long()
        apart = (places[..., first] >= places[..., second] + lengths[second]) | (
            places[..., second] >= places[..., first] + lengths[first]
        )
        free = apart.any(dim=1).all(dim=1).nonzero()
        if len(free):
            tops, lefts = places[int(free[0])].tolist()
            return tops, lefts
