"""Rows of all ranks in each of them, with gradients: for losses that compare utterances with those
of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

from avaffect.core.batch import Batch
from avaffect.signal.ranks import Part

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


@lru_cache(maxsize=1)
def side_group() -> Any:
    """A process group for what passes between ranks within a forward or backward pass.

    The order of such calls is the same in all ranks, but not in relation to those by which DDP
    averages the gradients of weights. Made once, by all ranks together.
    """
    return distributed.new_group()


@dataclass(frozen=True)
class Division:
    """How a batch was divided: of `size` places, each rank has every so many-th.

    views  rows of each place, one view of the whole batch after the other (A and B of a pair)
    """

    fabric: Fabric
    size: int
    views: int

    def part(self) -> Part:
        """That of this rank; the first place's again where it has none."""
        rank, ranks = self.fabric.global_rank, self.fabric.world_size
        mine = torch.arange(rank if rank < self.size else 0, self.size, ranks)[: self._most]
        rows = (torch.arange(self.views)[:, None] * self.size + mine).flatten()
        counted = rank < self.size
        mine_only = rows if counted else rows[: self.views]
        return Part(mine_only, self.views * self.size, counted, self._gather, self._each)

    @property
    def _most(self) -> int:
        """Places of the rank with most."""
        return -(-self.size // self.fabric.world_size)

    def _gather(self, values: Tensor) -> Tensor:
        apart = values.to(self.fabric.device).unflatten(0, (self.views, -1))
        if values.dtype == torch.bool:
            apart = apart.to(torch.uint8)
        lacking = self._most - apart.shape[1]
        if lacking:
            nothing = apart.new_zeros(self.views, lacking, *apart.shape[2:])
            apart = torch.cat([apart, nothing], dim=1)
        # (ranks, views, most, ...): place p is the (p // ranks)-th of rank p % ranks.
        found = _Everyone.apply(apart, side_group()).movedim(0, 2).flatten(1, 2)
        return found[:, : self.size].flatten(0, 1).to(values.device, values.dtype)

    @staticmethod
    def _each(values: Tensor) -> Tensor:
        return _Everyone.apply(values, side_group())


class Gatherer:
    """Made by all ranks together."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.group: Any = side_group()

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


def padded_alike(batch: Batch, fabric: Fabric) -> Batch:
    """The batch with streams, and labels over time, as long as the longest of all ranks."""
    arrays = {("streams", name): values for name, values in batch.streams.items()}
    arrays |= {("labels", name): values for name, values in batch.labels.items()}
    over_time = sorted(key for key, values in arrays.items() if values.ndim > 1)
    own = torch.tensor([arrays[key].shape[1] for key in over_time], device=fabric.device)
    if not over_time:
        return batch
    longest = fabric.all_reduce(own, reduce_op="max").tolist()  # type: ignore[union-attr]
    found = {"streams": dict(batch.streams), "labels": dict(batch.labels)}
    for (kind, name), steps in zip(over_time, longest):
        values = found[kind][name]
        after = (0, 0) * (values.ndim - 2) + (0, steps - values.shape[1])
        found[kind][name] = F.pad(values, after, value=0 if kind == "streams" else math.nan)
    return replace(batch, streams=found["streams"], labels=found["labels"])
