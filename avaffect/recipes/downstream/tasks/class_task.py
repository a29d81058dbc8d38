"""One class of each utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.data.dataset import Dataset
from avaffect.evaluation import classification
from avaffect.recipes.downstream.labelled_data import check_several
from avaffect.recipes.downstream.tasks.base import Line
from avaffect.recipes.downstream.tasks.of_classes import OfClasses
from avaffect.settings.label_losses import Weights
from avaffect.training.ending import ending

if TYPE_CHECKING:
    from avaffect.objectives.criteria import ClassCriterion

# Accuracy on the training part above which a rising loss does not mean an end too early.
LEARNED = 0.9
NEARLY_CHANCE = 0.97


@dataclass(frozen=True)
class ClassTask(OfClasses):
    """targets (N,) int64 into classes, -1 missing; losses: loss -> weight. there: the labels of the
    stores, where `--classes` selected among them; None where all are in use."""

    targets: np.ndarray
    losses: Weights
    there: tuple[str, ...] | None = None
    kind = "class"

    @property
    def known(self) -> np.ndarray:
        return self.targets >= 0

    def chosen(self, mask: np.ndarray) -> ClassTask:
        return replace(self, targets=self.targets[mask])

    def check(self, where: str) -> None:
        """Every named class has a training utterance, and there are at least two classes."""
        counted = self.counted()
        missing = [name for name, count in counted.items() if not count]
        if self.there is not None and missing:
            raise DataError(
                f"{where}: no utterance to train on is of the class {missing[0]!r} of --classes; "
                f"leave it out, or see its spelling (labels of {self.name}: "
                f"{', '.join(self.there) or 'none'}){meant(missing[0], self.there)}"
            )
        check_several([name for name, count in counted.items() if count], where)

    def doubts(self) -> list[str]:
        return []

    def strata(self) -> np.ndarray:
        """A share of each class, one utterance at least."""
        return self.targets

    def counted(self) -> dict[str, int]:
        return dict(zip(self.classes, self.sizes.astype(int).tolist()))

    @property
    def sizes(self) -> np.ndarray:
        targets = self.targets[self.known]
        return np.bincount(targets, minlength=len(self.classes)).astype(np.float64)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        return replace(dataset, labels={**dataset.labels, self.name: self.targets})

    def criterion(self, number: int, alone: bool) -> ClassCriterion:
        from avaffect.objectives.criteria import ClassCriterion

        return ClassCriterion(self.name, number, self.losses, self.emphasis(), alone)

    def score(self, found: Sequence[np.ndarray], rate_hz: float) -> dict[str, float]:
        predicted = [int(row.argmax()) for row in found]
        return class_scores(self.targets, np.array(predicted, dtype=np.int64), self.classes)

    def ended(self, lines: Sequence[Line], alone: bool) -> tuple[bool, bool]:
        """Chance: the cross-entropy of the class frequencies, as weights, sampler and smoothing
        leave them, and the share of the largest class. The end of training by other losses is
        unknown."""
        seen = self.sizes
        if self.balance.sampled:
            seen = (seen > 0) * (seen.sum() / np.count_nonzero(seen))
        largest = float(seen.max() / seen.sum())
        shares = seen * self.class_weights() / seen.sum()
        shares = shares * (1 - self.balance.smoothing) + self.balance.smoothing / len(shares)
        shares = shares[shares > 0]
        entropy = -float((shares * np.log(shares)).sum())
        targets = self.targets[self.known]
        criterion = self.criterion(0, alone)
        loss, right = ending(lines, criterion.called("ce")), ending(lines, criterion.metric)
        if loss is None or right is None:
            return False, False
        error = np.sqrt(largest * (1 - largest) / len(targets))
        # Of a class that nearly all have, two errors above its share may be more than all.
        better = min(largest + 2 * error, (1 + largest) / 2)
        chance = loss.late > NEARLY_CHANCE * entropy and right.late < better
        return bool(not chance and right.late < LEARNED and loss.falling(entropy)), bool(chance)


def class_scores(
    targets: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, float]:
    """Scores of indices (N,) into classes; a target of -1 is left out. None where all are."""
    known = targets >= 0
    if not known.any():
        return {}
    matrix = classification.confusion_matrix(
        [classes[index] for index in targets[known]],
        [classes[index] for index in predicted[known]],
        classes,
    )
    return {
        "accuracy": classification.accuracy(matrix),
        "ua": classification.unweighted_accuracy(matrix),
        "ua_error": classification.unweighted_accuracy_error(matrix),
        "f1_macro": classification.f1_macro(matrix),
    }
