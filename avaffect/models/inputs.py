"""Inputs of a head: an encoder, stored features, or several of both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.models.encoder import (
    Encoded,
    Encoder,
    FrameEncoder,
    Frames,
    in_time,
    rate_of,
)
from avaffect.models.heads.base import HeadInput
from avaffect.models.layer_sum import LayerSumConfiguration
from avaffect.models.layers import beneath, layers_of

# The name of the encoder's frames.
ENCODER = "encoder"


class Inputs(nn.Module):
    """Encoders by name, including stored features (`models.given`). either: whether an utterance
    may lack any of them; otherwise, features alone, beside an encoder that is there."""

    def __init__(self, encoders: Mapping[str, Encoder], either: bool = False) -> None:
        super().__init__()
        self.either = either
        self.encoders: dict[str, Encoder] = dict(encoders)
        for name, encoder in self.encoders.items():
            self.add_module(f"input_{name}", encoder)

    @property
    def described(self) -> tuple[HeadInput, ...]:
        """As heads read them: of layers their sum."""
        return tuple(
            HeadInput(name, encoder.dim // layers_of(encoder), rate_of(encoder))
            for name, encoder in self.encoders.items()
        )

    def layer_sum(self, standardise: bool) -> LayerSumConfiguration | None:
        """The sum of the encoder's layers; None where they are not read."""
        found = self.encoders.get(ENCODER)
        if found is None or layers_of(found) == 1:
            return None
        own, layers = beneath(found), layers_of(found)
        return LayerSumConfiguration(ENCODER, layers, own.dim, own.first_layer, standardise)

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams of a batch that any of them reads."""
        return tuple(dict.fromkeys(s for e in self.encoders.values() for s in e.streams))

    @property
    def rate_hz(self) -> float:
        """Frames a second of the fastest; 0 where all give tokens."""
        return max(rate_of(encoder) for encoder in self.encoders.values())

    @property
    def sampling(self) -> Sampling:
        """What the encoder reads of an utterance."""
        return EVERYTHING if self.encoder is None else self.encoder.sampling

    @property
    def encoder(self) -> Encoder | None:
        """The encoder that is not stored features, if there is one, under the choice of layers."""
        found = self.encoders.get(ENCODER)
        return None if found is None else beneath(found)

    def forward(self, batch: Batch) -> dict[str, Encoded]:
        return {name: self._encoded(encoder, batch) for name, encoder in self.encoders.items()}

    def _encoded(self, encoder: Encoder, batch: Batch) -> Encoded:
        """What an encoder makes of a batch; where `either` allows that no utterance of it has what
        it reads, no frames."""
        if not self.either or any(
            n in batch.streams and bool(batch.lengths[n].any()) for n in encoder.streams
        ):
            return encoder(batch)
        lengths = torch.zeros_like(next(iter(batch.lengths.values())))
        return Frames(torch.zeros(len(lengths), 0, encoder.dim, device=lengths.device), lengths)

    def in_time(self, reader: str) -> dict[str, FrameEncoder]:
        """All by name. Raises DataError where one gives tokens; see `models.encoder.in_time`."""
        return {name: in_time(encoder, reader) for name, encoder in self.encoders.items()}

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) bool: utterances with these stream lengths of which there is anything; unless
        `either`, none of those of which an encoder makes nothing, whatever features they have."""
        read = [e for e in self.encoders.values() if any(name in lengths for name in e.streams)]
        found = torch.stack([encoder.usable(lengths) for encoder in read]).any(dim=0)
        if self.encoder is not None and len(self.encoders) > 1 and not self.either:
            found = found & self.encoder.usable(lengths)
        return found

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames at the highest rate that utterances with these stream lengths give; 0 for
        those that are not usable. Raises DataError where an encoder gives tokens."""
        counts = []
        for encoder in self.in_time("a label over time").values():
            if not any(name in lengths for name in encoder.streams):
                continue
            count = encoder.frame_count(lengths)
            if encoder.rate_hz != self.rate_hz:
                count = torch.round(count * (self.rate_hz / encoder.rate_hz)).long()
            counts.append(count)
        return torch.stack(counts).amax(dim=0) * self.usable(lengths)

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random view of a batch for training; see `Encoder.view`."""
        return batch if self.encoder is None else self.encoder.view(batch, generator)
