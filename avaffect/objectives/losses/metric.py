"""Metric-learning losses by name (SAAML, appendix C.1 compares them), through
pytorch-metric-learning."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from pytorch_metric_learning.losses import (
    AngularLoss,
    BaseMetricLossFunction,
    CircleLoss,
    LargeMarginSoftmaxLoss,
    SphereFaceLoss,
    TripletMarginLoss,
)
from torch import Tensor, nn

from avaffect.objectives.losses.cross_entropy import MISSING
from avaffect.objectives.losses.multi_similarity import MultiSimilarity

MetricLoss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# Constants are those of the library, as the paper names none of its own.
OF_PAIRS: dict[str, Callable[[], BaseMetricLossFunction]] = {
    "triplet": TripletMarginLoss,
    "angular": AngularLoss,
    "circle": CircleLoss,
}
# Losses with a weight vector for each class, which is trained with the projector.
OF_CLASSES: dict[str, Callable[[int, int], BaseMetricLossFunction]] = {
    "large-margin-softmax": LargeMarginSoftmaxLoss,
    "sphereface": SphereFaceLoss,
}


class OfLibrary(nn.Module):
    """A loss of pytorch-metric-learning as (sum, count): its mean times the labelled rows."""

    def __init__(self, loss: BaseMetricLossFunction) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """embeddings (B, D) of any length, labels (B,) classes, -1 missing"""
        labelled = labels != MISSING
        count = labelled.sum()
        if not count:
            return embeddings.sum() * 0.0, count
        with torch.autocast(embeddings.device.type, enabled=False):
            known = embeddings[labelled]
            known = known.to(torch.promote_types(known.dtype, torch.float32))
            return self.loss(known, labels[labelled]) * count, count


def metric_loss(
    name: str,
    classes: int,
    dim: int,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 1.0,
    epsilon: float = 0.5,
) -> MetricLoss:
    """The loss `name`: multi-similarity (with its constants), triplet, angular, circle,
    large-margin-softmax or sphereface.

    classes: their number; dim: size of an embedding. It maps embeddings (B, D) and labels (B,), -1
    missing, to (sum, count); it is a module where it has weights. Raises KeyError for another name.
    """
    if name == "multi-similarity":
        return MultiSimilarity(alpha, beta, base, epsilon)
    if name in OF_CLASSES:
        with warnings.catch_warnings():
            # The library makes its binomials of tensors, by a way that NumPy 2 is going to drop.
            warnings.simplefilter("ignore", DeprecationWarning)
            return OfLibrary(OF_CLASSES[name](classes, dim))
    return OfLibrary(OF_PAIRS[name]())
