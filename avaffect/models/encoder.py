"""The contracts of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.core.streams import FACE


@dataclass
class Frames:
    """values (B, T, dim), lengths (B,) valid frames; padded frames are zero."""

    values: Tensor
    lengths: Tensor

    @property
    def valid(self) -> Tensor:
        """(B, T) bool: True where a frame belongs to the utterance."""
        steps = torch.arange(self.values.shape[1], device=self.values.device)
        return steps[None, :] < self.lengths[:, None]

    def mean(self) -> Tensor:
        """(B, dim) mean over valid frames, padding excluded; zeros for an empty utterance."""
        total = (self.values * self.valid[..., None].to(self.values.dtype)).sum(dim=1)
        return total / self.lengths.clamp(min=1)[:, None].to(total.dtype)


@dataclass
class Corruption:
    """What a pretext task keeps from an encoder before any context (AV-HuBERT, input masking).

    audio         (B, T) bool: frames of sound hidden behind an embedding
    video_source  (B, T) int64: the frame of the same clip that stands in for each picture; -1
                  where the picture is blank (zero after normalisation)
    Time is that of the encoder's frames.
    """

    audio: Tensor | None = None
    video_source: Tensor | None = None


class Encoder(nn.Module):
    """Declares the streams it reads, the rate of its frames and their size.

    `forward(batch, layer=None)` gives frames of the last layer, or of `layer` (1-based, without
    the final normalisation). Padding and batch-mates never change an utterance's frames; a missing
    modality is part of the contract.

    configuration: the dataclass that it is made of, as `registry` describes and builds it.
    reach: how many frames on either side a frame knows of, where its streams come one step a frame:
    a recording may then be seen in parts. None where a frame may know of the whole utterance.
    window_s: seconds that it sees at once: of longer utterances it joins the frames of several such
    windows. None where it sees an utterance of any length at once.
    """

    streams: tuple[str, ...] = ()
    rate_hz: float = 0.0
    dim: int = 0
    configuration: Any
    reach: int | None = None
    window_s: float | None = None

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        raise NotImplementedError

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames that utterances with these stream lengths give; a stream that is not in
        `lengths` is missing."""
        raise NotImplementedError

    def parts(self) -> dict[str, nn.Module]:
        """Parts by name, from the input on, that one may want to keep as they are while the others
        are fine-tuned; none where this encoder is one whole."""
        return {}

    def check_face_rate(self, batch: Batch) -> None:
        """Raises UsageError for faces that do not come one a frame."""
        found = batch.rates.get(FACE, self.rate_hz)
        if found != self.rate_hz:
            raise UsageError(
                f"this encoder reads {self.rate_hz:g} faces a second, and this store holds "
                f"{found:g}: preprocess it with --fps {self.rate_hz:g}"
            )

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random view of a batch for training (crops and flips of faces), of the same lengths.

        Drawn on the CPU from `generator`; the batch itself where this encoder has no such views.
        """
        return batch


@runtime_checkable
class Maskable(Protocol):
    """An encoder whose local features stand apart from their context: what a task hides, or asks
    for, lies between the two.

    feature_dim: size of a local feature. An encoder that has nothing to hide frames behind raises
    ValueError for a mask, one that hides no inputs for a corruption.
    """

    feature_dim: int

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """Local features before any context, (B, T, feature_dim), zero in padding."""

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """Frames in context from what `features` gave; where mask (B, T) is True a frame is
        hidden behind the mask embedding. `layer` as in `Encoder.forward`."""


def maskable(encoder: Encoder) -> Maskable:
    """The same encoder. Raises ValueError where its local features do not stand apart."""
    if not isinstance(encoder, Maskable):
        raise ValueError(f"a {type(encoder).__name__} has no local features before its context")
    return encoder
