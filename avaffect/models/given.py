"""Features that lie in a store, in the place of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.models.encoder import Encoder, Frames


@dataclass(frozen=True)
class GivenFeaturesConfiguration:
    """dim of a frame; frames a second."""

    dim: int
    rate_hz: float


class GivenFeatures(Encoder):
    """Passes on the stream "features" (B, T, dim): there is nothing to train."""

    streams = ("features",)
    reach = 0

    def __init__(self, configuration: GivenFeaturesConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.dim = configuration.dim
        self.rate_hz = configuration.rate_hz

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) steps of the stream"""
        return lengths["features"]

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """(B, T, dim) float32; zero in padding, as the batch is."""
        if layer is not None:
            raise UsageError("features that are given have no layers")
        return Frames(batch.streams["features"].float(), batch.lengths["features"])
