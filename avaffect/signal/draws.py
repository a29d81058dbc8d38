"""Random numbers of the utterances of a batch, the same however ranks share it."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.signal import ranks


def uniform(
    generator: torch.Generator, rows: int, *shape: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(rows, ...) from 0 to 1, on the CPU"""
    return ranks.draw(
        rows, lambda count: torch.rand(count, *shape, generator=generator, dtype=dtype)
    )


def below(generator: torch.Generator, limit: int, rows: int) -> Tensor:
    """(rows,) int64 from 0 to below the limit, on the CPU"""
    return ranks.draw(rows, lambda count: torch.randint(limit, (count,), generator=generator))
