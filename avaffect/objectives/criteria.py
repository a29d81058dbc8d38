"""Losses and metrics of each kind of label, from a head's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from avaffect.models.heads.base import Outputs
from avaffect.models.heads.labels import LabelHead
from avaffect.objectives.base import Step
from avaffect.objectives.losses.binned_cross_entropy import binned_cross_entropy
from avaffect.objectives.losses.concordance import concordance, concordance_loss
from avaffect.objectives.losses.cost_sensitive_cross_entropy import cost_sensitive_cross_entropy
from avaffect.objectives.losses.cross_entropy import MISSING, accuracy, cross_entropy
from avaffect.objectives.losses.kullback_leibler import kullback_leibler
from avaffect.objectives.losses.mean_absolute_error import mean_absolute_error
from avaffect.objectives.losses.mean_squared_error import mean_squared_error
from avaffect.objectives.losses.soft_cross_entropy import known_rows, soft_cross_entropy
from avaffect.settings.label_losses import COUPLED

OF_VALUES = {"ccc": concordance_loss, "mse": mean_squared_error, "mae": mean_absolute_error}
OF_BINS = {"ce": binned_cross_entropy, "ncce": cost_sensitive_cross_entropy}
OF_SHARES = {"kl": kullback_leibler, "ce": soft_cross_entropy}

Losses = dict[str, tuple[Tensor, Tensor | float]]


class Criterion(Protocol):
    """Of one label, the `number`-th of a head. weights: loss -> weight in the total."""

    @property
    def name(self) -> str: ...

    @property
    def number(self) -> int: ...

    @property
    def weights(self) -> Mapping[str, float]: ...

    @property
    def coupled(self) -> bool:
        """Whether a loss depends on several utterances together."""

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        """gold: batch.labels[name]; usable (B,) bool: utterances with a frame."""

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        """Counts of the losses that `step` will return, for losses that are not coupled."""


@dataclass(frozen=True)
class ClassCriterion:
    """Cross-entropy of classes (B,), -1 missing. loss, metric: what its loss and the share of right
    ones are called."""

    name: str
    number: int
    weight: float = 1.0
    loss: str = "classification"
    metric: str = "accuracy"
    coupled = False

    @property
    def weights(self) -> dict[str, float]:
        return {self.loss: self.weight}

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        labels = torch.where(usable, gold, MISSING)
        scores = head.scores(outputs.utterance, self.number)
        with torch.no_grad():
            right = accuracy(scores, labels)
        return Step({self.loss: cross_entropy(scores, labels)}, {self.metric: right})

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return {self.loss: float((usable & (gold != MISSING)).sum())}


@dataclass(frozen=True)
class DistributionCriterion:
    """Losses "kl_NAME" and "ce_NAME" of shares of votes (B, C), a row of NaN missing."""

    name: str
    number: int
    losses: Mapping[str, float]
    coupled = False

    @property
    def weights(self) -> dict[str, float]:
        return {f"{loss}_{self.name}": weight for loss, weight in self.losses.items()}

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        shares = gold.masked_fill(~usable[:, None], torch.nan)
        scores = head.scores(outputs.utterance, self.number)
        found: Losses = {
            f"{loss}_{self.name}": OF_SHARES[loss](scores, shares) for loss in self.losses
        }
        with torch.no_grad():
            divergence = kullback_leibler(scores, shares)
        return Step(found, {f"divergence_{self.name}": divergence})

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.weights, float((known_rows(gold) & usable).sum()))


@dataclass(frozen=True)
class ScalarCriterion:
    """1 - CCC "ccc_NAME", "mse_NAME" and "mae_NAME" of values (B,), NaN missing.

    Predictions and gold are compared in the unit of the head's scale: whatever unit the label has,
    the losses weigh the same.
    """

    name: str
    number: int
    losses: Mapping[str, float]

    @property
    def weights(self) -> dict[str, float]:
        return {f"{loss}_{self.name}": weight for loss, weight in self.losses.items()}

    @property
    def coupled(self) -> bool:
        return not self.losses.keys().isdisjoint(COUPLED)

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        value = head.standard_value(outputs.utterance, self.number)
        gold = head.standardised(gold, self.number)
        known = usable & ~torch.isnan(gold)
        found: Losses = {
            f"{loss}_{self.name}": OF_VALUES[loss](value, gold, known) for loss in self.losses
        }
        return Step(found, _agreement(self.name, value.detach(), gold, known))

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.weights, float((usable & ~torch.isnan(gold)).sum()))


@dataclass(frozen=True)
class TraceCriterion:
    """Losses of all known steps (B, T) at the rate of the head's steps, NaN missing (Shukla et al.
    2021, section 6.3; SS-VAERR, equation 6): those of a scalar, and of bins "ce_NAME", "ncce_NAME",
    whose centres are in the label's own unit.
    """

    name: str
    number: int
    losses: Mapping[str, float]
    coupled = True

    @property
    def weights(self) -> dict[str, float]:
        return {f"{loss}_{self.name}": weight for loss, weight in self.losses.items()}

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        found = outputs.over_time
        # A trace may end a step before the frames, or after them.
        steps = min(found.values.shape[1], gold.shape[1])
        gold, values = gold[:, :steps], found.values[:, :steps]
        known = found.valid[:, :steps] & ~torch.isnan(gold)
        standard = head.standardised(gold, self.number)
        losses: Losses = {}
        for loss in self.losses:
            if loss in OF_VALUES:
                value = head.standard_value(values, self.number)
                part = OF_VALUES[loss](value, standard, known)
            else:
                scores, centres = head.scores(values, self.number), head.centres(self.number)
                part = OF_BINS[loss](scores, gold, known, centres)
            losses[f"{loss}_{self.name}"] = part
        predicted = head.standardised(head.trace(values.detach(), self.number), self.number)
        return Step(losses, _agreement(self.name, predicted, standard, known))

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        raise NotImplementedError("steps of traces are known by the head alone")


def _agreement(
    name: str, predicted: Tensor, gold: Tensor, known: Tensor
) -> dict[str, tuple[Tensor | float, Tensor | float]]:
    value = concordance(predicted, gold, known)
    counted = (known.sum() > 1).to(value.dtype)
    return {f"concordance_{name}": (value * counted, counted)}
