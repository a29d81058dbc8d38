"""One number of each utterance; 1 - CCC, mean squared or mean absolute error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.dataset import Dataset
from avaffect.evaluation import concordance
from avaffect.recipes.downstream.tasks.base import Line
from avaffect.settings.label_losses import Weights
from avaffect.training.ending import ending

if TYPE_CHECKING:
    from avaffect.models.heads.labels import LabelHead, Readout
    from avaffect.objectives.criteria import ScalarCriterion

# Steps of float32 in a standard deviation, at least: rounding is then a fiftieth of it.
FINEST = 16.0
# CCC on the training part: below this nothing was learned, and above that enough.
CHANCE, LEARNED = 0.05, 0.9


@dataclass(frozen=True)
class ScalarTask:
    """values (N,) float32, NaN missing; losses: loss -> weight. Scored by CCC, Pearson, RMSE and
    MAE over utterances."""

    name: str
    values: np.ndarray
    losses: Weights
    kind = "scalar"
    classes: ClassVar[tuple[str, ...]] = ()
    over_time = False
    scores = ("ccc", "pearson")

    @property
    def columns(self) -> int:
        return 1

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.values)

    def chosen(self, mask: np.ndarray) -> ScalarTask:
        return replace(self, values=self.values[mask])

    def check(self, where: str) -> None:
        if self._constant():
            raise DataError(
                f"{where}: {self.name} never changes in the training part; there is nothing to "
                "learn"
            )
        known = self.values[self.known].astype(np.float32)
        spread, step = float(known.std(dtype=np.float64)), float(np.spacing(np.abs(known).max()))
        if spread < FINEST * step:
            raise DataError(
                f"{where}: {self.name} is around {known.mean(dtype=np.float64):g}, where float32 "
                f"has steps of {step:g}, and spreads by {spread:g} only; subtract a constant from "
                "its values"
            )

    def doubts(self) -> list[str]:
        return [never_changes(self.name)] if self._constant() else []

    def strata(self) -> None:
        return None

    def counted(self) -> dict[str, int]:
        return {}

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        return replace(dataset, labels={**dataset.labels, self.name: self.values})

    def readout(self, where: str) -> Readout:
        from avaffect.models.heads.labels import Readout

        return Readout(self.name, self.kind, value=True)

    def fit(self, head: LabelHead, number: int, where: str) -> None:
        set_scale(head, number, self.values[self.known])

    def criterion(self, number: int, alone: bool) -> ScalarCriterion:
        from avaffect.objectives.criteria import ScalarCriterion

        return ScalarCriterion(self.name, number, self.losses)

    def score(self, found: Sequence[np.ndarray], rate_hz: float) -> dict[str, float]:
        predicted = np.array([row[0] for row in found], dtype=np.float64)
        scores = concordance.scores(concordance.moments(predicted, self.values))
        return {name: float(v) for name, v in scores.items() if not np.isnan(v)}

    def ended(self, lines: Sequence[Line], alone: bool) -> tuple[bool, bool]:
        """Chance: no concordance."""
        return concordance_ended(lines, self.name)

    def _constant(self) -> bool:
        return len(np.unique(self.values[self.known])) < 2


def set_scale(head: LabelHead, number: int, values: np.ndarray, deviations: float = 1.0) -> None:
    """A label's output begins at the mean of values (N,), in a unit of so many of their standard
    deviations."""
    import torch

    precise = values.astype(np.float64)
    unit = deviations * precise.std() or 1.0
    head.scale(number).copy_(torch.tensor([precise.mean(), unit]))


def never_changes(name: str) -> str:
    """A doubt about a development part in which a label has one value."""
    return (
        f"{name} never changes in the development part: by its ccc all epochs are equally good; "
        "select by other utterances, or keep the last: --select none"
    )


def concordance_ended(lines: Sequence[Line], name: str) -> tuple[bool, bool]:
    """As `Task.ended`, of a label that is scored by its CCC on the training part."""
    found = ending(lines, f"concordance_{name}")
    if found is None:
        return False, False
    chance = found.late < CHANCE
    return not chance and found.late < LEARNED and found.falling(-1.0), chance
