"""Losses and metrics of each kind of label, from a head's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from avaffect.core.registry import located
from avaffect.models.heads.base import Outputs
from avaffect.models.heads.labels import LabelHead
from avaffect.objectives.base import Step
from avaffect.objectives.emphasis import Emphasis
from avaffect.objectives.losses.concordance import concordance
from avaffect.objectives.losses.cross_entropy import MISSING, accuracy
from avaffect.objectives.losses.kullback_leibler import kullback_leibler
from avaffect.objectives.losses.soft_cross_entropy import as_shares, known_rows
from avaffect.settings.label_losses import is_coupled, loss_of

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
class _Weighted:
    """Losses of one label: loss -> weight. In a step's losses each is called "LOSS_NAME"."""

    name: str
    number: int
    losses: Mapping[str, float]
    kind: ClassVar[str]

    @property
    def weights(self) -> dict[str, float]:
        return {self.called(loss): weight for loss, weight in self.losses.items()}

    @property
    def coupled(self) -> bool:
        return is_coupled(self.losses)

    def called(self, loss: str) -> str:
        return f"{loss}_{self.name}"

    @cached_property
    def functions(self) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
        """Loss -> its function."""
        return self.functions_of(self.kind)

    def functions_of(self, kind: str) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
        return {loss: located(loss_of(loss).functions[kind]) for loss in self.losses}


@dataclass(frozen=True)
class _OfClasses(_Weighted):
    """Losses of scores (B, C) of classes."""

    emphasis: Emphasis = Emphasis()

    def functions_of(self, kind: str) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
        """With the values of `emphasis` that they take by name."""
        found = super().functions_of(kind)
        for loss, function in found.items():
            taken = {name: getattr(self.emphasis, name) for name in loss_of(loss).options}
            found[loss] = partial(function, **taken) if taken else function
        return found

    @cached_property
    def of_shares(self) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
        """Loss -> its function of targets that are spread over several classes."""
        return self.functions_of(DistributionCriterion.kind)

    def found(self, scores: Tensor, targets: Tensor) -> Losses:
        """Losses of targets: classes (B,), -1 missing, or shares (B, C), a row of NaN missing."""
        weights = self.emphasis.weights(targets)
        functions = self.functions if targets.ndim == 1 else self.of_shares
        if self.emphasis.smoothing:
            shares = as_shares(targets, scores.shape[1]) if targets.ndim == 1 else targets
            targets, functions = self.emphasis.smoothed(shares), self.of_shares
        # Losses of other packages need not take weights.
        more = () if weights is None else (weights,)
        return {self.called(loss): f(scores, targets, *more) for loss, f in functions.items()}


@dataclass(frozen=True)
class ClassCriterion(_OfClasses):
    """Losses of scores (B, C) and classes (B,), -1 missing, or shares (B, C) of mixed utterances.
    alone: whether it is the only label; its cross-entropy is called "classification" then, and the
    share of right ones "accuracy"."""

    alone: bool = True
    kind = "class"

    def called(self, loss: str) -> str:
        return "classification" if self.alone and loss == "ce" else super().called(loss)

    @property
    def metric(self) -> str:
        return "accuracy" if self.alone else f"accuracy_{self.name}"

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        scores = head.scores(outputs.utterance, self.number)
        if gold.ndim == 1:
            targets = most = torch.where(usable, gold, MISSING)
        else:
            targets = gold.masked_fill(~usable[:, None], torch.nan)
            most = torch.where(known_rows(targets), targets.nan_to_num().argmax(dim=1), MISSING)
        with torch.no_grad():
            right = accuracy(scores, most)
        return Step(self.found(scores, targets), {self.metric: right})

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.weights, float((usable & (gold != MISSING)).sum()))


@dataclass(frozen=True)
class DistributionCriterion(_OfClasses):
    """Losses of scores (B, C) and shares of votes (B, C), a row of NaN missing."""

    kind = "distribution"

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        shares = gold.masked_fill(~usable[:, None], torch.nan)
        scores = head.scores(outputs.utterance, self.number)
        with torch.no_grad():
            divergence = kullback_leibler(scores, shares)
        return Step(self.found(scores, shares), {f"divergence_{self.name}": divergence})

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.weights, float((known_rows(gold) & usable).sum()))


@dataclass(frozen=True)
class ScalarCriterion(_Weighted):
    """Losses of predictions (B,), gold (B,), and which of them are known (B,).

    Predictions and gold are compared in the unit of the head's scale: whatever unit the label has,
    the losses weigh the same.
    """

    kind = "scalar"

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        value = head.standard_value(outputs.utterance, self.number)
        gold = head.standardised(gold, self.number)
        known = usable & ~torch.isnan(gold)
        found: Losses = {
            self.called(loss): f(value, gold, known) for loss, f in self.functions.items()
        }
        return Step(found, _agreement(self.name, value.detach(), gold, known))

    def counts(self, gold: Tensor, usable: Tensor) -> dict[str, float]:
        return dict.fromkeys(self.weights, float((usable & ~torch.isnan(gold)).sum()))


@dataclass(frozen=True)
class TraceCriterion(_Weighted):
    """Losses of all known steps (B, T) at the rate of the head's steps, NaN missing (Shukla et al.
    2021, section 6.3; SS-VAERR, equation 6): those of values as of a scalar, and of bins, from
    scores (B, T, K), gold and known (B, T) and the bins' centres (K,) in the label's own unit."""

    kind = "trace"

    @property
    def coupled(self) -> bool:
        return True

    def step(self, head: LabelHead, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        found = outputs.over_time
        # A trace may end a step before the frames, or after them.
        steps = min(found.values.shape[1], gold.shape[1])
        gold, values = gold[:, :steps], found.values[:, :steps]
        known = found.valid[:, :steps] & ~torch.isnan(gold)
        standard = head.standardised(gold, self.number)
        losses: Losses = {}
        for loss, function in self.functions.items():
            if loss_of(loss).bins is None:
                value = head.standard_value(values, self.number)
                part = function(value, standard, known)
            else:
                scores, centres = head.scores(values, self.number), head.centres(self.number)
                part = function(scores, gold, known, centres)
            losses[self.called(loss)] = part
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
