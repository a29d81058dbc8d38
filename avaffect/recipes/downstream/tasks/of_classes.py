"""What labels of classes share, whether one class or votes for several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from avaffect.settings.class_balance import BALANCED, ClassBalance

if TYPE_CHECKING:
    from avaffect.models.heads.labels import LabelHead, Readout
    from avaffect.objectives.emphasis import Emphasis


@dataclass(frozen=True)
class OfClasses:
    """A head gives one logit a class."""

    name: str
    classes: tuple[str, ...]
    balance: ClassBalance = field(default=ClassBalance(), kw_only=True)
    kind = "class"
    over_time = False
    scores = ("ua", "accuracy", "f1_macro")

    @property
    def columns(self) -> int:
        return len(self.classes)

    @property
    def sizes(self) -> np.ndarray:
        """(C,) float64 utterances of each class; of votes, the sum of its shares."""
        raise NotImplementedError

    def strata(self) -> np.ndarray:
        """(N,) int64: the class of each utterance, -1 without one."""
        raise NotImplementedError

    def readout(self, where: str) -> Readout:
        from avaffect.models.heads.labels import Readout

        return Readout(self.name, self.kind, classes=len(self.classes))

    def fit(self, head: LabelHead, number: int, where: str) -> None:
        """No statistics: classes have weights alone."""

    def emphasis(self) -> Emphasis:
        """With the class weights of these utterances, the training part."""
        from avaffect.objectives.emphasis import Emphasis

        weights = None if self.balance.weights is None else tuple(self.class_weights().tolist())
        return Emphasis(weights, self.balance.smoothing, self.balance.gamma)

    def class_weights(self) -> np.ndarray:
        """(C,), all 1 without a scheme."""
        return class_weights(self.balance, self.sizes)

    def balanced(self) -> list[str]:
        """What is done about the sizes of the classes, as sentences."""
        if self.balance.weights is not None:
            rows = zip(self.classes, self.sizes, self.class_weights())
            words = ", ".join(f"{name} {size:.4g} x {w:.4g}" for name, size, w in rows)
            return [f"--class-weights {self.balance.weights}, {self.name}: {words}"]
        if self.balance.sampled:
            groups = self.strata()
            sizes = np.bincount(groups[groups >= 0], minlength=len(self.classes))
            words = ", ".join(f"{name} {size}" for name, size in zip(self.classes, sizes))
            each = sizes.sum() / max(1, np.count_nonzero(sizes))
            return [f"--sampler balanced, {self.name}: {words}; {each:.0f} of each in an epoch"]
        return []


def class_weights(balance: ClassBalance, sizes: np.ndarray) -> np.ndarray:
    """(C,) weights of classes of these sizes (C,), whose mean over the utterances is 1; 0 of a
    class without any.

    balanced: n / (K n_c) of the K classes that occur, as in scikit-learn. effective: in proportion
    to the inverse effective number, (1 - beta) / (1 - beta^n_c) (Cui et al. 2019, equation 3);
    there the weights add up to K instead, which is another factor of the whole loss.
    """
    if balance.weights is None:
        return np.ones(len(sizes))
    there = sizes > 0
    counts = np.where(there, sizes, 1.0)
    if balance.weights == BALANCED:
        found = 1.0 / counts
    else:
        found = (1 - balance.beta) / (1 - balance.beta**counts)
    found = np.where(there, found, 0.0)
    return found * (sizes.sum() / (found * sizes).sum())
