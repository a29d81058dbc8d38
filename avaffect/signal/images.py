"""Pictures as tensors (..., H, W, C): sizes, channels, crops and flips.

Pictures are uint8, or floating point on the same scale of 0 to 255; the result has the dtype of
the input (uint8 is rounded).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.nouns import count_of
from avaffect.signal import draws

# ITU-R BT.601: grey in video decoders and OpenCV.
_LUMA = (0.299, 0.587, 0.114)
# Number of pictures that are floating point at a time during resizing.
_BLOCK = 256


def _as(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if dtype.is_floating_point else x.round().to(dtype)


def to_channels(pictures: Tensor, channels: int) -> Tensor:
    """(..., H, W, C) -> (..., H, W, channels): grey (1) from RGB (3), or grey three times.

    Raises ValueError for other numbers of channels.
    """
    found = pictures.shape[-1]
    if found == channels:
        return pictures
    if {found, channels} != {1, 3}:
        raise ValueError(
            f"pictures with {count_of(found, 'channel cannot', 'channels cannot')} be converted to "
            f"{channels}"
        )
    if channels == 3:
        return pictures.expand(*pictures.shape[:-1], 3)
    parts = [pictures[..., i : i + 1].float() * weight for i, weight in enumerate(_LUMA)]
    grey = parts[0] + parts[1] + parts[2]
    return _as(grey, pictures.dtype)


def resize(pictures: Tensor, height: int, width: int | None = None) -> Tensor:
    """(..., H, W, C) -> (..., height, width, C), bilinear with antialiasing.

    Without a width the result is square.
    """
    size = (height, height if width is None else width)
    if pictures.shape[-3:-1] == size:
        return pictures
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    resized = flat.new_empty(len(flat), *size, flat.shape[-1])
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK].permute(0, 3, 1, 2).float()
        block = F.interpolate(block, size, mode="bilinear", antialias=True)
        resized[start : start + _BLOCK] = _as(block, flat.dtype).permute(0, 2, 3, 1)
    return resized.reshape(*pictures.shape[:-3], *resized.shape[1:])


def centre_crop(pictures: Tensor, size: int) -> Tensor:
    """(..., H, W, C) -> (..., size, size, C), H and W >= size."""
    top, left = ((side - size) // 2 for side in pictures.shape[-3:-1])
    return pictures[..., top : top + size, left : left + size, :]


def random_crop_and_flip(clips: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(B, T, H, W, C) -> (B, T, size, size, C), H and W >= size.

    The crop's place and the flip (probability 0.5) are drawn for each clip, and are the same for
    all of its pictures. Draws come from `generator`, on the CPU.
    """
    count = len(clips)
    tops, lefts = (
        draws.below(generator, side - size + 1, count).tolist() for side in clips.shape[2:4]
    )
    flips = (draws.uniform(generator, count) < 0.5).tolist()
    cropped = clips.new_empty(*clips.shape[:2], size, size, clips.shape[-1])
    for row, (top, left, flip) in enumerate(zip(tops, lefts, flips)):
        clip = clips[row, :, top : top + size, left : left + size]
        cropped[row] = clip.flip(2) if flip else clip
    return cropped
