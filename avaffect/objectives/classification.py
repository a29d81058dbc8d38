"""Classes of utterances from an encoder's frames (SAAML, evaluation details; Shukla, 6.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads.attentive import Head
from avaffect.models.heads.recurrent import RecurrentHead
from avaffect.objectives.base import Context, Step
from avaffect.objectives.losses.cross_entropy import accuracy, cross_entropy
from avaffect.objectives.pooling import POOLED, usable_labels
from avaffect.objectives.supervised import Downstream


class Classification(Downstream):
    """Cross-entropy of batch.labels[label] (-1 missing), loss "classification".

    Without an encoder the stream "pooled" (B, D) is read instead, by a dense head.
    """

    def __init__(
        self,
        head: Head | RecurrentHead,
        label: str,
        encoder: Encoder | None = None,
        frozen: bool = False,
        learning_rates: dict[str, float] | None = None,
        penalty: float = 0.0,
    ) -> None:
        super().__init__(head, encoder, frozen, learning_rates)
        self.label = label
        self.penalty = penalty

    def logits(self, batch: Batch) -> Tensor:
        """(B, classes) scores before the softmax"""
        if self.encoder is None:
            return self.head(batch.streams[POOLED].float())
        return self.head.utterance(self.encoder(batch))

    def _labels(self, batch: Batch) -> Tensor:
        return usable_labels(self.encoder, batch, batch.labels[self.label])

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        labels = self._labels(batch)
        logits = self.logits(self.seen(batch, context))
        with torch.no_grad():
            right = accuracy(logits, labels)
        losses = {"classification": cross_entropy(logits, labels)}
        if self.penalty:
            count = losses["classification"][1]
            squares = sum(p.square().sum() for p in self.head.parameters() if p.ndim > 1)
            losses["penalty"] = (self.penalty / 2 * squares * count, count)
        return Step(losses, {"accuracy": right})

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        count = float((self._labels(batch) >= 0).sum())
        return dict.fromkeys(["classification", *(["penalty"] if self.penalty else [])], count)
