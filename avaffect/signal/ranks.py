"""A batch that ranks share: each rank draws for all utterances, and takes what it drew for its own,
so that N ranks draw what one would.

Random draws, masks and statistics of a batch call these functions, which do nothing where a batch
is not shared. All ranks call them together: in no branch that depends on a rank's own utterances.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from avaffect.core.nouns import count_of

if TYPE_CHECKING:
    from torch import Tensor

V = TypeVar("V")


@dataclass(frozen=True)
class Part:
    """A rank's rows of a batch.

    rows     (n,) int64 on the CPU, their places among the `size` rows of the whole batch
    counted  False where they only repeat one of another rank, which has none of its own
    gather   (n, ...) -> (size, ...) in the order of the whole batch, with gradients
    each     (...) of a rank -> (ranks, ...), with gradients
    """

    rows: Tensor
    size: int
    counted: bool
    gather: Callable[[Tensor], Tensor]
    each: Callable[[Tensor], Tensor]

    def among(self, chosen: Tensor) -> Part:
        """This part of the utterances that are chosen (n,) bool."""
        mine = chosen.cpu()
        there = self.gather(mine)
        rows = (there.long().cumsum(0) - 1)[self.rows[mine]]

        def gather(values: Tensor) -> Tensor:
            where = mine.to(values.device)
            full = values.new_zeros(len(mine), *values.shape[1:])
            full = full.masked_scatter(where.view(-1, *[1] * (values.ndim - 1)), values)
            return self.gather(full)[there.to(values.device)]

        return Part(rows, int(there.sum()), self.counted, gather, self.each)


_part: ContextVar[Part | None] = ContextVar("part", default=None)


def part() -> Part | None:
    """This rank's part of the batch of this step; None: it is not shared."""
    return _part.get()


@contextlib.contextmanager
def sharing(part: Part | None) -> Iterator[None]:
    """Within it, batches are those of which this is a part."""
    before = _part.set(part)
    try:
        yield
    finally:
        _part.reset(before)


def among(chosen: Tensor) -> contextlib.AbstractContextManager[None]:
    """Within it, rows are those that are chosen (n,) bool."""
    shared = part()
    return sharing(None if shared is None else shared.among(chosen))


def whole(rows: Tensor) -> Tensor:
    """(n, ...) of this rank -> (size, ...) of all."""
    shared = part()
    if shared is None:
        return rows
    if len(rows) != len(shared.rows):
        raise ValueError(f"{count_of(len(rows), 'row')}, of a part of {len(shared.rows)}")
    return shared.gather(rows)


def own(rows: Tensor) -> Tensor:
    """(size, ...) of all -> (n, ...) of this rank."""
    shared = part()
    return rows if shared is None else rows[shared.rows.to(rows.device)]


def uncounted() -> contextlib.AbstractContextManager[None]:
    """Within it, what this rank computes is in no total: it only takes part in that of others."""
    shared = part()
    return sharing(None if shared is None else replace(shared, counted=False))


def mine(places: Tensor) -> Tensor:
    """(N,) places in the whole batch -> (N,) bool: those of this rank's rows."""
    shared = part()
    if shared is None:
        return places >= 0
    return (places[:, None] == shared.rows).any(dim=1)


def size(count: int) -> int:
    """Rows of the whole batch, of which this rank has `count`."""
    shared = part()
    return count if shared is None else shared.size


def longest(lengths: Tensor) -> int:
    """The largest of (n,) lengths of all, 0 of none."""
    found = whole(lengths)
    return int(found.max()) if len(found) else 0


def each(sums: Tensor) -> Tensor:
    """Sums over this rank's utterances (...) -> (ranks, ...), 0 where they repeat others."""
    shared = part()
    if shared is None:
        return sums[None]
    return shared.each(sums if shared.counted else sums * 0)


def total(sums: Tensor) -> Tensor:
    """Sums over this rank's utterances -> over all."""
    return sums if part() is None else each(sums).sum(0)


def once(losses: Mapping[str, tuple[V, Tensor | float]]) -> dict[str, tuple[V, Tensor | float]]:
    """Sums and counts over the whole batch, which each rank computes: those of rank 0 count."""
    shared = part()
    if shared is None:
        return dict(losses)
    # The first row is its own; another rank may repeat it.
    first = float(shared.counted and bool((shared.rows == 0).any()))
    return {
        name: (value * first, count * first)  # type: ignore[operator, misc]
        for name, (value, count) in losses.items()
    }


def draw(count: int, drawn: Callable[[int], Tensor]) -> Tensor:
    """`drawn(count)`: a random row for each of this rank's `count`, or for several views of each,
    one view after the other."""
    shared = part()
    mine = 0 if shared is None else len(shared.rows)
    if shared is None or (count % mine if mine else count):
        return drawn(count)
    views = count // mine if mine else 1
    found = drawn(views * shared.size)
    first = shared.rows.new_tensor(range(views)) * shared.size
    return found[(first[:, None] + shared.rows).flatten().to(found.device)]


def over_all(computed: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`computed(*rows)`, a row for each of this rank's, by the rows of the whole batch."""
    if part() is None:
        return computed(*rows)
    return own(computed(*map(whole, rows)))
