"""Autoregressive Predictive Coding (Chung et al. 2019): predict the spectrum some frames ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder, FrameEncoder, Frames, in_time, maskable
from avaffect.objectives.base import Context, Needs, Pretraining, Step


@dataclass(frozen=True)
class AutoregressivePredictionConfiguration:
    """shift  number of frames ahead"""

    shift: int = 3


class AutoregressivePrediction(Pretraining):
    """L1 distance of predicted and true features `shift` frames ahead, loss "prediction".

    The encoder's frames, which depend on the past alone, pass one linear layer. Sums are over
    frames whose target is within the utterance; a frame counts its mean over bands. The metric
    "repeated" is the loss of repeating the current spectrum.
    """

    loss = "prediction"
    tied = ("shift",)
    encoder: FrameEncoder

    def __init__(
        self, encoder: Encoder, configuration: AutoregressivePredictionConfiguration | None = None
    ) -> None:
        super().__init__({"prediction": 1.0})
        self.configuration = configuration or AutoregressivePredictionConfiguration()
        self.shift = self.configuration.shift
        if self.shift < 1:
            raise ValueError(f"shift {self.shift}: at least one frame ahead")
        self.encoder = in_time(encoder, "autoregressive prediction")
        self.head = nn.Linear(encoder.dim, maskable(encoder).feature_dim)

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.shift + 1)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        return self.with_frames(batch, context, phase)[0]

    def with_frames(
        self, batch: Batch, context: Context, phase: str = "main"
    ) -> tuple[Step, Frames]:
        encoder = maskable(self.encoder)
        features = encoder.features(batch)
        frames = encoder.contextualise(features)
        return self._step(features, self.head(frames.values)), frames

    def _step(self, features: Frames, predicted: Tensor) -> Step:
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
