"""Semi-supervised methods that SAAML is compared with (its appendix B): what the emotion classifier
learns of retrieved utterances in place of the labels of their queries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.gradient_reversal import reverse_gradient
from avaffect.objectives.base import Context, Step
from avaffect.objectives.losses.adversarial_clustering import adversarial_clustering
from avaffect.objectives.losses.consistency import consistency
from avaffect.objectives.losses.cross_entropy import MISSING
from avaffect.objectives.losses.pseudo_label import pseudo_label, pseudo_labels
from avaffect.objectives.weak_and_strong import Views


@dataclass(frozen=True)
class Retrieved:
    """Retrieved utterances of a batch.

    batch: of them alone; pooled (P, D): of their weak view; labels (P,): of their queries, -1 where
    an utterance gives the encoder nothing to read. encoder, layer: which made `pooled`.
    """

    batch: Batch
    pooled: Tensor
    labels: Tensor
    encoder: Encoder
    layer: int | None

    @property
    def known(self) -> Tensor:
        return self.labels != MISSING


class SemiSupervised(Protocol):
    """views: of retrieved utterances. coupled: whether a loss compares utterances of a batch, those
    of all ranks."""

    @property
    def views(self) -> Views: ...

    @property
    def coupled(self) -> bool: ...

    def weights(self, step: int) -> dict[str, float]:
        """Loss -> weight at a step of training."""

    def step(self, classifier: nn.Module, found: Retrieved, context: Context) -> Step:
        """classifier: of emotions, pooled (P, D) -> logits (P, C)"""


@dataclass(frozen=True)
class FixMatch:
    """The class that the weak view shows with a probability of `confidence` is learned from the
    strong view (Sohn et al. 2020, equation 4). Loss "pseudo_label"."""

    views: Views
    confidence: float = 0.95
    weight: float = 1.0
    coupled = False

    def weights(self, step: int) -> dict[str, float]:
        return {"pseudo_label": self.weight}

    def step(self, classifier: nn.Module, found: Retrieved, context: Context) -> Step:
        labels = pseudo_labels(classifier(found.pooled), self.confidence)
        strong = self.views.strong(found.encoder, found.batch, found.layer, context.generator)
        loss = pseudo_label(classifier(strong), labels, found.known)
        return Step({"pseudo_label": loss}, _agreement(labels, found))


@dataclass(frozen=True)
class CDAC:
    """Cross-domain adaptive clustering (Li et al. 2021) without labels of the pool: the losses
    "clustering", "pseudo_label" and "consistency", of a weak view and two strong ones.

    The classifier raises "clustering", and the encoder lowers it. The weight of "consistency" grows
    as exp(-5 (1 - step / ramp)^2) up to step `ramp`. ranked: features that must be the same in
    similar utterances.
    """

    views: Views
    confidence: float = 0.95
    weight: float = 1.0
    clustering_weight: float = 1.0
    ranked: int = 5
    consistency_weight: float = 30.0
    ramp: int = 2000
    coupled = True

    def weights(self, step: int) -> dict[str, float]:
        left = max(0.0, 1.0 - step / self.ramp) if self.ramp else 0.0
        return {
            "clustering": self.clustering_weight,
            "pseudo_label": self.weight,
            "consistency": self.consistency_weight * math.exp(-5.0 * left**2),
        }

    def step(self, classifier: nn.Module, found: Retrieved, context: Context) -> Step:
        first, second = (
            self.views.strong(found.encoder, found.batch, found.layer, context.generator)
            for _ in "12"
        )
        labels = pseudo_labels(classifier(found.pooled), self.confidence)
        known, seen = found.known, classifier(second)
        weak, strong = (_adversary(classifier, pooled) for pooled in (found.pooled, first))
        everyone = None
        if context.gather is not None:
            told = known[:, None].to(strong.dtype)
            _, everyone = context.gather(
                {"features": found.pooled.detach(), "others": strong, "known": told}
            )
        return Step(
            {
                "clustering": adversarial_clustering(
                    found.pooled, weak, strong, known, self.ranked, everyone
                ),
                "pseudo_label": pseudo_label(seen, labels, known),
                "consistency": consistency(
                    _probabilities(classifier(first)), _probabilities(seen), known
                ),
            },
            _agreement(labels, found),
        )


def _adversary(classifier: nn.Module, pooled: Tensor) -> Tensor:
    """Probabilities (P, C) whose gradient is reversed in the classifier, and not before it."""
    return _probabilities(reverse_gradient(classifier(reverse_gradient(pooled, 1.0)), 1.0))


def _probabilities(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=1)


def _agreement(
    labels: Tensor, found: Retrieved
) -> dict[str, tuple[Tensor | float, Tensor | float]]:
    """The share of retrieved utterances with a pseudo-label, and of these the share whose
    pseudo-label is the label of their query."""
    sure = (labels != MISSING) & found.known
    return {
        "confident": (sure.sum(), found.known.sum()),
        "confident_as_query": ((sure & (labels == found.labels)).sum(), sure.sum()),
    }
