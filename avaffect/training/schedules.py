"""Learning rates as a function of training progress from 0 to 1."""

from __future__ import annotations

import math


def decay_factor(epoch: int, decay: float, every: int) -> float:
    """decay once for every `every` epochs that are over."""
    return decay ** (epoch // every)


def learning_rate_factor(schedule: str, progress: float, warmup: float) -> float:
    """Factor of the peak learning rate: linear warm-up over the share `warmup`, then the decay.

    Progress, not a count of steps: a schedule is the same whatever the batch size.
    """
    if progress < warmup:
        return progress / warmup
    if schedule == "constant":
        return 1.0
    done = (progress - warmup) / max(1.0 - warmup, 1e-12)
    if schedule == "linear":
        return max(0.0, 1.0 - done)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    raise ValueError(f"unknown schedule {schedule!r}")
