"""Training in double precision: what differs there is of the method, not of rounding.

In single precision Adam makes steps of the learning rate of gradients that are 0 but for rounding,
and batch norm amplifies channels that are constant but for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """New tensors, weights and what is read from arrays are float64 in this block. For a process of
    its own (`ranks.SPAWN`): filters and the like are cached as they were made first."""
    as_they_are = torch.from_numpy

    def doubled(array: np.ndarray) -> Tensor:
        found = as_they_are(array)
        return found.double() if found.dtype == torch.float32 else found

    torch.set_default_dtype(torch.float64)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(torch, "from_numpy", doubled)
            patched.setattr(Tensor, "float", Tensor.double)
            yield
    finally:
        torch.set_default_dtype(torch.float32)
