"""Training, development and test utterances of each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.headers import Run
from avaffect.core.nouns import count_of, share_of
from avaffect.core.progress import Progress
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import FinetuneSettings

# (N,) bool of the training, development and test utterances.
Masks = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Division:
    """Number and seed of a run, its test fold, and (N,) masks of its parts.

    All folds of one seed are one run: together they predict every utterance once.
    """

    run: int
    seed: int
    fold: int | None
    train: np.ndarray
    development: np.ndarray
    test: np.ndarray

    @property
    def tags(self) -> dict[str, int]:
        """Tags of the lines of its history."""
        tags = {"run": self.run, "seed": self.seed}
        return tags if self.fold is None else {**tags, "fold": self.fold}

    def described(
        self, metrics: dict[str, Any], unlearned: dict[str, tuple[str, ...]] | None
    ) -> Run:
        """Its entry in a classifier's header."""
        return Run(
            run=self.run, seed=self.seed, fold=self.fold, metrics=metrics, unlearned=unlearned
        )


def divisions_of(settings: FinetuneSettings, labels: Labels) -> list[Division]:
    """Every run's division of the utterances, by their split or by fold; a share of the training
    part where the settings limit it.

    Raises DataError where the utterances are not in these folds.
    """
    parts = _parts(settings, labels.utterances)
    found = []
    for index in range(settings.runs):
        seed = settings.seed + index
        for fold, (train, development, test) in parts.items():
            share = labels.share(train, settings.fraction, seed)
            found.append(Division(index, seed, fold, share, development, test))
    return found


def report_divisions(
    settings: FinetuneSettings, divisions: list[Division], labels: Labels, progress: Progress
) -> None:
    """Report the sizes of the first division's parts; warn of classes that have no training
    utterance."""
    first, utterances = divisions[0], labels.utterances
    train = int(first.train.sum())
    whole = int(_parts(settings, utterances)[first.fold][0].sum())
    counted = labels.chosen(first.train).counted()
    fold = "" if first.fold is None else f"fold {first.fold}: "
    classes = f" ({counted})" if counted else ""
    progress.say(
        f"{fold}training on {share_of(train, whole, 'utterance')}{classes}, development "
        f"{first.development.sum()}, test {first.test.sum()}"
    )
    for words in labels.chosen(first.train).balanced():
        progress.say(fold + words)
    unused = len(utterances.splits) - sum(map(bool, utterances.splits))
    if first.fold is None and 0 < unused < len(utterances.splits):
        progress.warn(
            f"{unused} of {count_of(len(utterances.splits), 'labelled utterance')} without a "
            "split, not used: give them one with `avaffect split`"
        )
    unknown = sum(not speaker for speaker in utterances.speakers)
    if unknown and (first.test.any() or first.development.any()):
        progress.say(
            f"{count_of(unknown, 'utterance has', 'utterances have')} no speaker: an overlap of "
            "training with test or development speakers cannot be checked"
        )
    missing = [name for d in divisions for name in labels.chosen(d.train).missing_classes()]
    if missing:
        some = "" if first.fold is None else " of some folds"
        progress.warn(
            f"no utterance of the training part{some} is of {', '.join(dict.fromkeys(missing))}: "
            "it occurs in development or test alone, and is never predicted; select classes with "
            "--classes"
        )


def _parts(settings: FinetuneSettings, utterances: Utterances) -> dict[int | None, Masks]:
    """Fold -> its parts; without folds one for None."""
    if settings.folds is None:
        splits = np.array(utterances.splits, dtype=object)
        train, development, test = (splits == n for n in ("train", "development", "test"))
        if not any(utterances.splits):
            train = ~train
        return {None: (train, development, test)}
    folds = np.array([int(fold) if fold else -1 for fold in utterances.folds])
    count = settings.folds
    if set(np.unique(folds)) != set(range(count)):
        raise DataError(
            f"{settings.media[0]}: the labelled utterances are not in folds 0 to {count - 1}; "
            f"make them with `avaffect split --folds {count}` and give them as --annotations"
        )
    parts: dict[int | None, Masks] = {}
    for fold in range(count):
        test, development = folds == fold, folds == (fold + 1) % count
        parts[fold] = ~test & ~development, development, test
    return parts
