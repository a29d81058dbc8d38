"""Memory of attention with relative positions: what tensors a step of it makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avaffect.models.relative_attention import RelativeSelfAttention, sinusoids

BATCH, DIM = 3, 64


class Made(TorchDispatchMode):
    """Sizes of all tensors that operations make; views count as what they show."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.sizes += [t.numel() for t in tree_leaves(found) if isinstance(t, torch.Tensor)]
        return found


def largest(frames: int, heads: int, shortest: int) -> int:
    """Numbers in the largest tensor of a forward and backward pass."""
    torch.manual_seed(0)
    attention = RelativeSelfAttention(DIM, heads, dropout=0.1)
    x = torch.randn(BATCH, frames, DIM, requires_grad=True)
    counts = [frames] * (BATCH - 1) + [shortest]
    with Made() as made:
        y = attention(x, torch.zeros(BATCH, 1, 1, frames), sinusoids(frames, DIM), counts)
        y.square().sum().backward()
    return max(made.sizes)


@pytest.mark.parametrize("shortest", [30, 90])
@pytest.mark.parametrize(("frames", "heads"), [(90, 1), (90, 8), (180, 2)])
def test_memory_is_linear_in_heads_and_in_squared_frames(
    frames: int, heads: int, shortest: int
) -> None:
    """There is a score for each pair of frames and each head, with at most a column more, and for
    no pair a vector."""
    size = largest(frames, heads, shortest)
    assert BATCH * heads * frames**2 <= size <= BATCH * heads * frames * (frames + 1)
    assert size < BATCH * frames**2 * DIM
