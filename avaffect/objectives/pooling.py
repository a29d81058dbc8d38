"""One vector an utterance, from an encoder or from a stream of pooled vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.objectives.losses.cross_entropy import MISSING

POOLED = "pooled"
"""The stream (B, D) that objectives without an encoder read."""


def pooled_features(encoder: Encoder | None, batch: Batch, layer: int | None = None) -> Tensor:
    """(B, D) mean of the encoder's frames or tokens, padding excluded; the stream without one."""
    if encoder is None:
        return batch.streams[POOLED].float()
    return encoder(batch, layer).mean()


def usable_labels(encoder: Encoder | None, batch: Batch, labels: Tensor) -> Tensor:
    """(B,) labels, -1 where an utterance gives the encoder nothing to read."""
    if encoder is None:
        return labels
    return torch.where(encoder.usable(batch.lengths), labels, MISSING)
