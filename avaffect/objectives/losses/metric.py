"""Metric-learning losses by name (SAAML, appendix C.1 compares them), through
pytorch-metric-learning."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_metric_learning.losses import (
    AngularLoss,
    BaseMetricLossFunction,
    CircleLoss,
    TripletMarginLoss,
)
from torch import Tensor

from avaffect.objectives.losses.cross_entropy import MISSING
from avaffect.objectives.losses.multi_similarity import MultiSimilarity

MetricLoss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

OTHERS: dict[str, Callable[[], BaseMetricLossFunction]] = {
    "triplet": TripletMarginLoss,
    "angular": AngularLoss,
    "circle": CircleLoss,
}


def metric_loss(
    name: str,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 1.0,
    epsilon: float = 0.5,
) -> MetricLoss:
    """The loss `name`: multi-similarity (with its constants), triplet, angular or circle.

    It maps embeddings (B, D) and labels (B,), -1 missing, to (sum, count). Raises KeyError for
    another name.
    """
    if name == "multi-similarity":
        return MultiSimilarity(alpha, beta, base, epsilon)
    loss = OTHERS[name]()

    def compute(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        labelled = labels != MISSING
        count = labelled.sum()
        return loss(embeddings[labelled], labels[labelled]) * count, count

    return compute
