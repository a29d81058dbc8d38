"""End of a run from its metrics: loss still falling, or never fell.

A schedule that decays makes every loss flat at the end, converged or not. Time is therefore counted
in learning rate: the sum of the rates of the steps, from 0 to 1 at the end. Training on at the mean
rate for half as long is half a unit more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Quarters of that time are compared; with fewer lines than this there are too few in each.
FEWEST_LINES = 8
# A loss that falls by less than this share of its initial value, from a quarter to the next, is
# flat.
FALL = 0.03
# A difference of so many standard errors is not due to chance.
CERTAIN = 3.0


@dataclass(frozen=True)
class Ending:
    """late: the mean of the last quarter, early: of the one before it; error: the standard error of
    their difference; lines: in the history."""

    early: float
    late: float
    error: float
    lines: int

    def falling(self, scale: float) -> bool:
        """Whether it was still falling. scale: the loss at chance; below 0 for a metric that rises
        as it improves."""
        fall = (self.early - self.late) * (1 if scale > 0 else -1)
        return self.lines >= FEWEST_LINES and fall > max(FALL * abs(scale), CERTAIN * self.error)


def own_lines(history: Path, tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of steps at the end of a history that have these tags, in order; damaged lines,
    which resuming warns of, are left out."""
    found = []
    for text in reversed(history.read_bytes().splitlines()):
        line = parsed(text)
        if not line:
            continue
        if any(line.get(name) != value for name, value in tags.items()):
            break
        if "step" in line:
            found.append(line)
    return found[::-1]


def parsed(text: bytes) -> dict[str, Any]:
    """A line of a history; {} where it is none, or damaged."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) and _is_number(line.get("step", 0)) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def ending(lines: Sequence[Mapping[str, Any]], name: str) -> Ending | None:
    """The end of a loss or metric in a history; None where it was never written.

    lines: of steps, each the mean since the one before.
    """
    there = [
        line for line in lines
        if _is_number(line.get(name)) and _is_number(line.get("learning_rate", 1.0))
    ]  # fmt: skip
    if not there:
        return None
    values = np.array([line[name] for line in there], dtype=np.float64)
    steps = np.array([line["step"] for line in there], dtype=np.float64)
    rates = np.array([line.get("learning_rate", 1.0) for line in there], dtype=np.float64)
    weights = np.diff(steps, prepend=0.0) * np.maximum(rates, 0.0)
    if not weights.sum() > 0:
        weights = np.ones(len(there))
    # The middle of each line's share of the time.
    time = (np.cumsum(weights) - weights / 2) / weights.sum()
    late, early = time > 0.75, (time > 0.5) & (time <= 0.75)
    if not late.any():
        late[-1] = True
    if not early.any():
        early[max(0, len(there) - 2)] = True
    parts = [(values[part], weights[part]) for part in (early, late)]
    before, after = (float(np.average(part, weights=weight)) for part, weight in parts)
    errors = [float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.0 for part, _ in parts]
    return Ending(before, after, float(np.sqrt(sum(errors))), len(there))
