"""Votes of raters for the classes of an utterance; KL divergence or cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.dataset import Dataset
from avaffect.evaluation import distributions
from avaffect.recipes.downstream.tasks.base import Line
from avaffect.recipes.downstream.tasks.class_task import NEARLY_CHANCE, class_scores
from avaffect.recipes.downstream.tasks.of_classes import OfClasses
from avaffect.settings.label_losses import Weights
from avaffect.training.ending import ending

if TYPE_CHECKING:
    from avaffect.objectives.criteria import DistributionCriterion

# Share of the mean distribution's divergence: below it enough was learned.
LEARNED = 0.1


@dataclass(frozen=True)
class DistributionTask(OfClasses):
    """shares (N, C) float32 of votes for classes, a row of NaN missing; losses: loss -> weight.

    Scored by the class with most votes, ties left out, and by KL and cross-entropy.
    """

    shares: np.ndarray
    losses: Weights
    kind = "distribution"

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.shares).any(axis=1)

    def chosen(self, mask: np.ndarray) -> DistributionTask:
        return replace(self, shares=self.shares[mask])

    def check(self, where: str) -> None:
        known = self.shares[self.known]
        if len(known) == 0 or (known == known[0]).all():
            raise DataError(
                f"{where}: the votes of {self.name} never differ in the training part; there is "
                "nothing to learn"
            )

    def doubts(self) -> list[str]:
        if (distributions.majority(self.shares) >= 0).any():
            return []
        return [
            f"no utterance of the development part has a majority class of {self.name}: "
            "by ua all epochs are equally good; keep the last: --select none"
        ]

    def strata(self) -> np.ndarray:
        """Groups by the class with most votes; ties are a group of their own."""
        return distributions.majority(self.shares)

    def counted(self) -> dict[str, int]:
        """Counted by the class with most votes."""
        most = distributions.majority(self.shares)
        counts = np.bincount(most[most >= 0], minlength=len(self.classes))
        return {name: count for name, count in zip(self.classes, counts.tolist()) if count}

    @property
    def sizes(self) -> np.ndarray:
        return self.shares[self.known].astype(np.float64).sum(axis=0)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        return replace(dataset, labels={**dataset.labels, self.name: self.shares})

    def criterion(self, number: int, alone: bool) -> DistributionCriterion:
        from avaffect.objectives.criteria import DistributionCriterion

        return DistributionCriterion(self.name, number, self.losses, self.emphasis())

    def score(self, found: Sequence[np.ndarray], rate_hz: float) -> dict[str, float]:
        known = self.known
        if not known.any():
            return {}
        predicted = distributions.softmax(np.stack(found).astype(np.float64))
        most = distributions.majority(self.shares)
        pair = predicted[known], self.shares[known].astype(np.float64)
        return {
            **class_scores(most, predicted.argmax(axis=1), self.classes),
            "kl": float(distributions.divergence(*pair).mean()),
            "ce": float(distributions.cross_entropy(*pair).mean()),
        }

    def ended(self, lines: Sequence[Line], alone: bool) -> tuple[bool, bool]:
        """Chance: the divergence of the mean distribution."""
        right = self.shares[self.known].astype(np.float64)
        mean = np.broadcast_to(right.mean(axis=0), right.shape)
        scale = float(distributions.divergence(mean, right).mean())
        loss = ending(lines, f"divergence_{self.name}")
        if loss is None or not scale > 0:
            return False, False
        chance = loss.late > NEARLY_CHANCE * scale
        return not chance and loss.late > LEARNED * scale and loss.falling(scale), chance
