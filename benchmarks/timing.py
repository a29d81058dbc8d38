"""Comparing ways of doing one thing: CPU time, in turns, as a median ratio.

Machines differ and are noisy, so that absolute times prove nothing: the ways run in one process,
one after the other in every repetition, and only ratios within a repetition count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import threadpoolctl
import torch

from avaffect.core.allocation import keep_freed_memory

REPETITIONS = 5


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in torch and in the BLAS behind NumPy, and memory kept as the commands keep it."""
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def interleaved(
    ways: Mapping[str, Callable[[], object]],
    units: Mapping[str, float] | None = None,
    repetitions: int = REPETITIONS,
) -> dict[str, list[float]]:
    """CPU seconds of each way in each repetition, after one run that is not counted.

    `units` says how much each way does in a call (queries, frames): seconds are then per unit.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repetitions + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            spent = time.process_time() - start
            if repetition:
                seconds[name].append(spent / (units[name] if units else 1))
    return seconds


def median_ratio(seconds: Mapping[str, list[float]], slow: str, fast: str) -> float:
    """How many times the CPU of `fast` the way `slow` takes."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


@dataclass(frozen=True)
class Row:
    """One figure and the target it is held against; no target: for information."""

    name: str
    figure: float
    target: float | None = None
    unit: str = "x"
    at_least: bool = True
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        met = self.figure >= self.target if self.at_least else self.figure <= self.target
        return "met" if met else "MISSED"


def print_rows(title: str, rows: list[Row]) -> None:
    """A table: name, figure, target, met or MISSED, note."""
    cells = [("", "measured", "target", "", "")]
    for row in rows:
        sign = "" if row.target is None else (">= " if row.at_least else "<= ")
        target = "" if row.target is None else f"{sign}{row.target:,.4g}{row.unit}"
        cells.append((row.name, f"{row.figure:,.4g}{row.unit}", target, row.verdict, row.note))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    print(title)
    for name, figure, target, verdict, note in cells:
        line = f"  {name:<{widths[0]}}  {figure:>{widths[1]}}  {target:>{widths[2]}}"
        print(f"{line}  {verdict:<{widths[3]}}  {note}".rstrip())
