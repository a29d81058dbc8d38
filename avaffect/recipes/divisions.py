"""Which utterances train, choose and test, run by run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.recipes.downstream import Task
from avaffect.recipes.labelled import Utterances
from avaffect.settings.finetune import FinetuneSettings


@dataclass(frozen=True)
class Division:
    """Which run, its seed, the fold that it tests, and (N,) masks of its parts.

    All folds of one seed are one run: together they predict every utterance once.
    """

    run: int
    seed: int
    fold: int | None
    train: np.ndarray
    development: np.ndarray
    test: np.ndarray

    def describe(self) -> dict[str, Any]:
        return {"run": self.run, "seed": self.seed, "fold": self.fold}


def divisions_of(settings: FinetuneSettings, task: Task) -> list[Division]:
    """Every run's division of the utterances: by their split, or by fold; of the training part
    the share that was asked for.

    Raises DataError where the utterances are not in these folds.
    """
    return [
        replace(division, train=task.share(division.train, settings.fraction, division.seed))
        for division in _whole(settings, task.utterances)
    ]


def _whole(settings: FinetuneSettings, utterances: Utterances) -> list[Division]:
    found = []
    for index in range(settings.runs):
        seed = settings.seed + index
        if settings.folds is None:
            splits = np.array(utterances.splits, dtype=object)
            if not any(utterances.splits):
                everyone = np.ones(len(splits), dtype=bool)
                found.append(Division(index, seed, None, everyone, ~everyone, ~everyone))
                continue
            parts = [splits == name for name in ("train", "development", "test")]
            found.append(Division(index, seed, None, *parts))
            continue
        folds = np.array([int(fold) if fold else -1 for fold in utterances.folds])
        count = settings.folds
        if set(np.unique(folds)) != set(range(count)):
            raise DataError(
                f"{settings.media[0]}: the labelled utterances are not in folds 0 to {count - 1}; "
                f"make them with `avaffect split --folds {count}` and give them as --annotations"
            )
        for fold in range(count):
            test, development = folds == fold, folds == (fold + 1) % count
            found.append(Division(index, seed, fold, ~test & ~development, development, test))
    return found
