"""Autoregressive Predictive Coding (Chung et al. 2019): the spectrum some frames ahead."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.objectives.base import Context, Objective, Step


class AutoregressivePrediction(Objective):
    """L1 distance of predicted and true features `shift` frames ahead, loss "prediction".

    The encoder's frames, which know the past alone, go through one linear layer. Sums run over
    frames that have a future within the utterance; a frame counts its mean over bands. The metric
    "repeated" is the loss of saying that nothing changes.
    """

    def __init__(self, encoder: Encoder, head: nn.Linear, shift: int = 3) -> None:
        super().__init__()
        if shift < 1:
            raise ValueError(f"shift {shift}: at least one frame ahead")
        self.encoder = encoder
        self.head = head
        self.shift = shift

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        features = self.encoder.features(batch)
        predicted = self.head(self.encoder.contextualise(features).values)
        ahead = features.values[:, self.shift :]
        has_future = features.valid[:, self.shift :]
        count = has_future.sum()

        def distance(found: Tensor) -> Tensor:
            error = (found[:, : ahead.shape[1]].float() - ahead).abs().mean(dim=2)
            return (error * has_future).sum()

        with torch.no_grad():
            repeated = distance(features.values)
        return Step({"prediction": (distance(predicted), count)}, {"repeated": (repeated, count)})

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        frames = self.encoder.frame_count(batch.lengths) - self.shift
        return {"prediction": float(frames.clamp(min=0).sum())}
