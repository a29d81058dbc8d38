"""Batches of faces made of noise, an encoder of them that is small, and its training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_training import history, run, weights

from avaffect.core.batch import Batch
from avaffect.models.visual import VisualConfiguration, VisualEncoder
from avaffect.objectives.base import Objective

TINY = VisualConfiguration(width=4, face_size=32, face_mean=0.3, face_std=0.2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def faces(lengths=(9, 1, 6, 0), size=32, channels=1, seed=0) -> Batch:
    """Random pictures; what lies past the end of a clip is not black."""
    shape = (len(lengths), max(lengths), size, size, channels)
    pictures = torch.randint(0, 256, shape, generator=generator(seed), dtype=torch.uint8)
    counts = torch.tensor(lengths)
    return Batch(
        [str(n) for n in range(len(lengths))], {"face": pictures}, {"face": counts},
        {"face": counts > 0}, {"face": 25.0},
    )  # fmt: skip


def tiny_encoder(seed: int = 0) -> VisualEncoder:
    torch.manual_seed(seed)
    return VisualEncoder(TINY)


class FaceBatches:
    """What the training loop asks for: clips of noise, four at a time, the ninth alone."""

    def __init__(self, count: int = 9, frames: int = 5) -> None:
        self.whole = faces((frames,) * count, seed=3)

    def plan(self, epoch: int):
        order = torch.randperm(len(self.whole), generator=generator(epoch)).numpy()
        return [order[start : start + 4] for start in range(0, len(order), 4)]

    def batch(self, indices, epoch: int) -> Batch:
        whole = self.whole
        return Batch(
            [whole.ids[i] for i in indices],
            {name: values[indices].numpy() for name, values in whole.streams.items()},
            {name: values[indices].numpy() for name, values in whole.lengths.items()},
            {name: values[indices].numpy() for name, values in whole.present.items()},
            whole.rates,
        )


class _Killed(Exception):
    pass


def check_resuming(make: Callable[[int], Objective], folder: Path, killed: int) -> Objective:
    """A run killed at that step and resumed ends as the whole one does, which is returned.

    make: an objective whose first weights are drawn by this seed.
    """
    whole, cut, resumed = make(0), make(0), make(7)
    run(whole, FaceBatches(), folder / "whole", epochs=3, save_every=1)
    own = type(cut).before_step

    def before_step(self, context, phase="main"):
        if context.step == killed:
            raise _Killed
        own(self, context, phase)

    cut.before_step = before_step.__get__(cut)
    with pytest.raises(_Killed):
        run(cut, FaceBatches(), folder / "cut", epochs=3, save_every=1)
    run(resumed, FaceBatches(), folder / "cut", epochs=3, save_every=1)
    assert weights(resumed) == weights(whole) != weights(make(0))
    lines = [history(folder / name / "history.jsonl") for name in ("whole", "cut")]
    assert lines[0] == lines[1]
    return whole
