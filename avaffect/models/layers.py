"""An encoder of which something else than its output is read: one layer, or all of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.headers import ReadLayers
from avaffect.models.encoder import Encoded, Encoder, FrameEncoder, Frames, TokenEncoder, Tokens


def read_layers(encoder: Encoder, layers: ReadLayers | None) -> Encoder:
    """The encoder, or, where `layers` says what is read of it, an encoder on top of it.

    Raises UsageError for a layer that it does not have, and for all layers of one that has none, or
    one alone.
    """
    if layers is None:
        return encoder
    encoder.check_layer(layers.layer)
    if layers.layer is None:
        encoder.structure.check_weighted()
    if isinstance(encoder, FrameEncoder):
        return FrameLayers(encoder, layers)
    return TokenLayers(encoder, layers)


def layers_of(encoder: Encoder) -> int:
    """Layers that stand side by side in its vectors."""
    return encoder.read_at_once if isinstance(encoder, _Layers) else 1


def beneath(encoder: Encoder) -> Encoder:
    """The encoder itself, of which layers are read."""
    return encoder.encoder if isinstance(encoder, _Layers) else encoder


class _Layers(Encoder):
    """read_at_once: layers that stand side by side, `dim` in all; 1 where one was chosen."""

    def __init__(self, encoder: Encoder, layers: ReadLayers) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, layers
        self.streams, self.sampling = encoder.streams, encoder.sampling
        self.read_at_once = encoder.layer_count if layers.layer is None else 1
        self.dim = encoder.dim * self.read_at_once

    def read(self, batch: Batch) -> Encoded:
        """(B, N, dim)"""
        if self.layers.layer is not None:
            return self.encoder(batch, layer=self.layers.layer)
        found = self.encoder.every_layer(batch)
        if not self.layers.normalised:
            return found
        apart = found.values.unflatten(-1, (self.read_at_once, self.encoder.dim))
        same = F.layer_norm(apart, apart.shape[-1:]).flatten(-2)
        return found.with_values(same * found.valid[..., None])

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        return self.encoder.usable(lengths)


class FrameLayers(_Layers, FrameEncoder):
    """Layers of an encoder of frames."""

    def __init__(self, encoder: FrameEncoder, layers: ReadLayers) -> None:
        super().__init__(encoder, layers)
        self.rate_hz, self.reach, self.window_s = encoder.rate_hz, encoder.reach, encoder.window_s

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        found = self.read(batch)
        assert isinstance(found, Frames)
        return found

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        assert isinstance(self.encoder, FrameEncoder)
        return self.encoder.frame_count(lengths)


class TokenLayers(_Layers, TokenEncoder):
    """Layers of an encoder of tokens."""

    def forward(self, batch: Batch, layer: int | None = None) -> Tokens:
        found = self.read(batch)
        assert isinstance(found, Tokens)
        return found
