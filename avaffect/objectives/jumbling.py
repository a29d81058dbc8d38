"""Jumbled clips: two windows are swapped (Shukla et al. 2021, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW_SHARE = 0.15
FEWEST_STEPS = 2
"""Of a clip: two windows of one step."""


def window_length(length: int, share: float = WINDOW_SHARE) -> int:
    """Steps of each of the two windows, at least 1, and half the clip at most."""
    return max(1, min(round(share * length), length // 2))


def fits(length: int) -> bool:
    """Whether two windows find room in a clip of so many steps."""
    return length >= FEWEST_STEPS


def swap_order(
    lengths: Tensor, chosen: Tensor, steps: int, generator: torch.Generator,
    share: float = WINDOW_SHARE,
) -> Tensor:  # fmt: skip
    """The order of steps in which two windows of each chosen clip have changed places.

    lengths (B,), chosen (B,) bool, on the CPU -> (B, steps) int64 for `torch.gather` along time:
    its own place for every step of the other clips, of padding and outside the windows. The windows
    are `share` of a clip long and do not overlap; swapping them again restores the clip. Each place
    is drawn from all that are free. Raises ValueError where a chosen clip has no room for them.
    """
    order = torch.arange(steps).repeat(len(lengths), 1)
    for row in torch.nonzero(chosen).flatten().tolist():
        length = int(lengths[row])
        width = window_length(length, share)
        if not fits(length):
            raise ValueError(f"{length} steps have no room for two windows of {width}")
        ends = torch.randint(length - 2 * width + 1, (2,), generator=generator)
        first, second = int(ends.min()), int(ends.max()) + width
        order[row, first : first + width] = torch.arange(second, second + width)
        order[row, second : second + width] = torch.arange(first, first + width)
    return order


def reorder(values: Tensor, order: Tensor) -> Tensor:
    """values (B, T, D) with the steps of each clip in the given order (B, T)."""
    return values.gather(1, order.to(values.device)[..., None].expand_as(values))
