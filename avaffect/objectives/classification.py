"""Emotion classification: mean of the encoder's frames and a head (SAAML, evaluation details)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head
from avaffect.objectives.base import Context, Objective, ParameterGroup, Step
from avaffect.objectives.groups import module_groups
from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy
from avaffect.objectives.pooling import pooled_features, usable_labels


class Classification(Objective):
    """Cross-entropy of batch.labels[label] (-1 missing), loss "classification".

    frozen: the encoder stays in evaluation mode and gets no gradient. Without an encoder the stream
    "pooled" (B, D) is read instead. Groups "encoder" and "heads".
    """

    def __init__(
        self,
        head: Head,
        label: str,
        encoder: Encoder | None = None,
        frozen: bool = False,
        learning_rates: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.head = head
        self.encoder = encoder
        self.label = label
        self.frozen = frozen
        self.learning_rates = dict(learning_rates or {})
        if frozen and encoder is not None:
            encoder.requires_grad_(False)
            encoder.eval()

    def train(self, mode: bool = True) -> Classification:
        super().train(mode)
        if self.frozen and self.encoder is not None:
            self.encoder.eval()
        return self

    def logits(self, batch: Batch) -> Tensor:
        """(B, classes) scores before the softmax"""
        return self.head(pooled_features(self.encoder, batch))

    def _labels(self, batch: Batch) -> Tensor:
        return usable_labels(self.encoder, batch, batch.labels[self.label])

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        labels = self._labels(batch)
        if self.training and self.encoder is not None and not self.frozen:
            batch = self.encoder.view(batch, context.generator)
        logits = self.logits(batch)
        with torch.no_grad():
            right = accuracy(logits, labels)
        return Step({"classification": cross_entropy(logits, labels)}, {"accuracy": right})

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        return {"classification": float((self._labels(batch) >= 0).sum())}

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return module_groups({"encoder": [self.encoder], "heads": [self.head]}, self.learning_rates)
