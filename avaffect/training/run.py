"""Arguments and results of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.signals import StopFlag
from avaffect.objectives.base import Objective
from avaffect.training.meter import Metrics
from avaffect.training.spool import Spool


class Batches(Protocol):
    """The data of the loop; avaffect.data.batches implements it."""

    def plan(self, epoch: int) -> Sequence[np.ndarray]:
        """The indices of every batch of an epoch, in order; a pure function of the epoch."""

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        """The batch of these indices, padded, as NumPy arrays."""


@dataclass
class Run:
    """One run of training: places of its state and history, and the weights to keep.

    folder    for the state (None: nothing is saved, for short runs inside another command)
    history   metrics file, appended to during training (None: none)
    tags      written into every line of the history (run, fold)
    part      number of this training among those of its command (runs, folds), and their count
    evaluate  called after each epoch with the objective and a spool for its rows; its metrics go to
              the history
    select    metric of `evaluate` whose best epoch's weights are kept at the end
    steady    keep the last epoch's instead, unless the best is better by more than chance makes
              it, by the standard error that `evaluate` gives as SELECT_error
    keep_last give the last epoch's weights too, where others are kept
    flag      of the signals to stop (None: looked at within `train` alone)
    check     called before a file is written: raises where the run lost its lock
    """

    seed: int
    folder: Path | None = None
    history: Path | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    part: tuple[int, int] = (0, 1)
    evaluate: Callable[[Objective, Spool | None], Metrics] | None = None
    select: str | None = None
    steady: bool = False
    keep_last: bool = False
    flag: StopFlag | None = None
    check: Callable[[], None] = lambda: None

    def spool(self, name: str, warn: Callable[[str], None], writes: bool = True) -> Spool | None:
        """The spool of rows that are computed for this run; None where it has no folder."""
        if self.folder is None:
            return None
        flag = StopFlag() if self.flag is None else self.flag
        return Spool(self.folder / name, flag, warn, writes, self.check)


@dataclass
class Outcome:
    """first, last: losses and metrics of the first and last logged step; best: the kept epoch's,
    which may be the last; newest, weights: of the last epoch, weights None unless asked for."""

    steps: int
    first: Metrics
    last: Metrics
    best: Metrics
    kept_last: bool = True
    newest: Metrics = field(default_factory=Metrics)
    weights: dict[str, Tensor] | None = None
