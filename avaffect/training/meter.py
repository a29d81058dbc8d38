"""Means of losses and metrics between two lines of the history."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

Metrics = dict[str, float]


class Meter:
    """Sums and counts since the last line of the history; tensors stay on their device."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}
        self.counts: dict[str, Any] = {}
        self.notes: Metrics = {}

    def add(self, name: str, value: Any, count: Any) -> None:
        value = value.detach() if isinstance(value, Tensor) else value
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0.0) + count

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def means(self, reduce: Callable[[dict[str, float]], dict[str, float]]) -> Metrics:
        """Means over all ranks; the sums are then reset."""
        if not self.sums:
            return {}
        sums = reduce({name: float(value) for name, value in self.sums.items()})
        counts = reduce({name: float(value) for name, value in self.counts.items()})
        means = {name: sums[name] / counts[name] for name in sums if counts[name]}
        found = {name: value for name, value in means.items() if math.isfinite(value)}
        found |= self.notes
        self.sums, self.counts = {}, {}
        return found

    def state(self) -> dict[str, Any]:
        return {
            "sums": {name: float(value) for name, value in self.sums.items()},
            "counts": {name: float(value) for name, value in self.counts.items()},
            "notes": self.notes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.sums, self.counts, self.notes = state["sums"], state["counts"], state["notes"]


def scaled(counts: dict[str, float], share: float) -> dict[str, float]:
    """The counts of losses that are shares."""
    return {name: float(count) * share for name, count in counts.items()}


def sum_counts(parts: list[dict[str, float]]) -> dict[str, float]:
    """Counts of micro-batches together, by name."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def as_good(name: str | None, last: Metrics, best: Metrics) -> bool:
    """Whether chance alone may have made an earlier epoch better than the last.

    The best of n epochs that differ by chance is better by some sqrt(2 ln n) standard errors
    (NAME_error, the larger of both); n is the last one's `epoch`.
    """
    if name is None or name not in last or name not in best:
        return False
    error = max(found.get(f"{name}_error", 0.0) for found in (last, best))
    likely = math.sqrt(2 * math.log(max(last["epoch"], 2)))
    return best[name] - last[name] <= likely * error
