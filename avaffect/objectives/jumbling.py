"""Jumbled clips: two windows are swapped (Shukla et al. 2021, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.nouns import count_of

WINDOW_SHARE = 0.15
FEWEST_STEPS = 2
"""Shortest clip: two windows of one step."""


def window_length(length: int, share: float = WINDOW_SHARE) -> int:
    """Steps of each of the two windows, at least 1 and at most half the clip."""
    return max(1, min(round(share * length), length // 2))


def fits(length: int) -> bool:
    """Whether two windows fit into a clip of `length` steps."""
    return length >= FEWEST_STEPS


def swap_order(
    lengths: Tensor, chosen: Tensor, steps: int, generator: torch.Generator,
    share: float = WINDOW_SHARE,
) -> Tensor:  # fmt: skip
    """The order of steps after swapping two windows of each chosen clip.

    lengths (B,), chosen (B,) bool, on the CPU -> (B, steps) int64 for `torch.gather` along time:
    its own index for every step of other clips, of padding and outside the windows. The windows are
    `share` of a clip long and do not overlap; swapping them again restores the clip. Their places
    are uniform among the possible ones. Raises ValueError if a chosen clip is too short.
    """
    order = torch.arange(steps).repeat(len(lengths), 1)
    for row in torch.nonzero(chosen).flatten().tolist():
        length = int(lengths[row])
        width = window_length(length, share)
        if not fits(length):
            raise ValueError(
                f"{count_of(length, 'step is', 'steps are')} too few for two windows of {width}"
            )
        ends = torch.randint(length - 2 * width + 1, (2,), generator=generator)
        first, second = int(ends.min()), int(ends.max()) + width
        order[row, first : first + width] = torch.arange(second, second + width)
        order[row, second : second + width] = torch.arange(first, first + width)
    return order


def reorder(values: Tensor, order: Tensor) -> Tensor:
    """values (B, T, D) with the steps of each clip in the given order (B, T)."""
    return values.gather(1, order.to(values.device)[..., None].expand_as(values))
