"""Stored features, frames or vectors of utterances, in place of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FEATURES
from avaffect.models.encoder import FrameEncoder, Frames, TokenEncoder, Tokens


def stream_of(name: str) -> str:
    """The stream of a batch with the features that a user calls `name`."""
    return f"{FEATURES}:{name}"


@dataclass(frozen=True)
class GivenFeaturesConfiguration:
    """dim: of a frame; rate_hz: frames a second; stream: its name in a batch."""

    dim: int
    rate_hz: float
    stream: str = FEATURES


class GivenFeatures(FrameEncoder):
    """Passes on a stream of features (B, T, dim): there is nothing to train."""

    streams = (FEATURES,)
    reach = 0

    def __init__(self, configuration: GivenFeaturesConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.streams = (configuration.stream,)
        self.dim = configuration.dim
        self.rate_hz = configuration.rate_hz

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) steps of the stream"""
        found = lengths.get(self.configuration.stream)
        return torch.zeros_like(next(iter(lengths.values()))) if found is None else found

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """(B, T, dim) float32; zero in padding, as the batch is; T = 0 where the batch lacks the
        stream."""
        lengths = self.frame_count(batch.lengths)
        values = batch.streams.get(self.configuration.stream)
        if values is None:
            values = torch.zeros(len(lengths), 0, self.dim, device=lengths.device)
        return Frames(values.float(), lengths)


@dataclass(frozen=True)
class GivenVectorsConfiguration:
    """dim: of a vector; name: of the pooled vectors in stores; stream: their name in a batch."""

    dim: int
    name: str
    stream: str = FEATURES


class GivenVectors(TokenEncoder):
    """Passes on one vector an utterance (B, 1, dim), as a single token, which is its own mean."""

    streams = (FEATURES,)
    gives = "is one vector an utterance, without time"

    def __init__(self, configuration: GivenVectorsConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.streams = (configuration.stream,)
        self.dim = configuration.dim

    def forward(self, batch: Batch, layer: int | None = None) -> Tokens:
        """(B, 1, dim) float32; zero where an utterance has none."""
        stream = self.configuration.stream
        values = batch.streams[stream].float()
        return Tokens(values, Frames(values, batch.lengths[stream]).valid)


Given = GivenFeatures | GivenVectors
