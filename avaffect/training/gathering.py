"""Rows of all ranks in each of them, with gradients: for losses that compare utterances with those
of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Rows = dict[str, Tensor]


class _Everyone(torch.autograd.Function):
    """(...) of each rank -> (ranks, ...); gradients of all ranks are added."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        ctx.group = group
        found = [torch.empty_like(tensor) for _ in range(distributed.get_world_size(group))]
        distributed.all_gather(found, tensor.contiguous(), group=group)
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].clone().contiguous()
        distributed.all_reduce(whole, group=ctx.group)
        return whole[distributed.get_rank(ctx.group)], None


class Gatherer:
    """Made by all ranks together.

    Its gradients pass through a process group of their own: the order of its calls is the same in
    all ranks, but not in relation to those by which gradients of weights are averaged.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.group: Any = distributed.new_group()

    def __call__(self, rows: Mapping[str, Tensor], counted: bool = True) -> tuple[int, Rows]:
        """name -> (N, D) of this rank, N alike -> the place of its first row, and name -> (M, D) of
        all ranks in turn.

        Called by all ranks together. N may differ among ranks. counted: False where this rank only
        repeats rows of rank 0, which are then those of rank 0.
        """
        own = len(next(iter(rows.values())))
        said = torch.tensor([own, int(counted)], device=self.fabric.device)
        each = _Everyone.apply(said, self.group).tolist()
        kept = [count if is_counted else 0 for count, is_counted in each]
        most = max(count for count, _ in each)
        found = {}
        for name, values in rows.items():
            padded = _Everyone.apply(F.pad(values, (0, 0, 0, most - own)), self.group)
            found[name] = torch.cat([part[:count] for part, count in zip(padded, kept)])
        return (sum(kept[: self.fabric.global_rank]) if counted else 0), found
