"""The contract of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch


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


class Encoder(nn.Module):
    """Declares the streams it reads, the rate of its frames and their size.

    `forward(batch, layer=None)` gives frames of the last layer, or of `layer` (1-based, without
    the final normalisation). Padding and batch-mates never change an utterance's frames; a missing
    modality is part of the contract.
    """

    streams: tuple[str, ...] = ()
    rate_hz: float = 0.0
    dim: int = 0

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        raise NotImplementedError

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames that utterances with these stream lengths give."""
        raise NotImplementedError
