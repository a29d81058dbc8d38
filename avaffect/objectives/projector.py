"""Training of SAAML's Embedding Projector: L_EP = L_MS + 0.5 L_CE (equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads.projector import Projector
from avaffect.objectives.base import Context, Objective, ParameterGroup, Step
from avaffect.objectives.groups import module_groups
from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy
from avaffect.objectives.losses.metric import MetricLoss
from avaffect.objectives.losses.multi_similarity import MultiSimilarity
from avaffect.objectives.pooling import pooled_features, usable_labels
from avaffect.signal import ranks


class ProjectorTraining(Objective):
    """Metric loss on embeddings and cross-entropy of a classifier on them.

    With `encoder` its frames are pooled and it is trained too; without, the stream "pooled" (B, D)
    of a frozen encoder is read. Labels: batch.labels[label], -1 missing. metric_loss: (embeddings,
    labels) -> (sum, count), by default Multi-Similarity with the paper's constants.
    Losses "metric" (weight 1) and "classification" (weight 0.5).
    """

    coupled = True
    gathers = True

    def __init__(
        self,
        projector: Projector,
        label: str,
        encoder: Encoder | None = None,
        metric_loss: MetricLoss | None = None,
        weights: dict[str, float] | None = None,
        learning_rates: dict[str, float] | None = None,
    ) -> None:
        super().__init__({"metric": 1.0, "classification": 0.5, **(weights or {})})
        self.projector = projector
        self.encoder = encoder
        self.label = label
        self.metric_loss = metric_loss or MultiSimilarity()
        self.learning_rates = dict(learning_rates or {})

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        labels = usable_labels(self.encoder, batch, batch.labels[self.label])
        if self.training and self.encoder is not None:
            batch = self.encoder.view(batch, context.generator)
        embeddings = self.projector(pooled_features(self.encoder, batch))
        logits = self.projector.classifier(embeddings)
        losses: dict[str, tuple[Tensor, Tensor | float]] = {}
        metrics: dict[str, tuple[Tensor | float, Tensor | float]] = {}
        if self.weights["metric"] != 0.0:
            everyone = ranks.whole(embeddings), ranks.whole(labels)
            losses |= ranks.once({"metric": self.metric_loss(*everyone)})
        if self.weights["classification"] != 0.0:
            losses["classification"] = cross_entropy(logits, labels)
            # A classifier that is not trained has no accuracy.
            with torch.no_grad():
                metrics["accuracy"] = accuracy(logits, labels)
        return Step(losses, metrics)

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        # Some losses have weights, of each class.
        weights = self.metric_loss if isinstance(self.metric_loss, nn.Module) else None
        return module_groups(
            {"encoder": [self.encoder], "heads": [self.projector, weights]}, self.learning_rates
        )
