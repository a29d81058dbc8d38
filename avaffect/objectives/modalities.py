"""Modality dropout: batches that lack audio or video (AV-HuBERT, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE, WAVEFORM


def drawn_modality(
    batch: Batch, probability: float, audio: float, generator: torch.Generator
) -> tuple[str | None, Tensor | None]:
    """The stream that a batch loses, and the rows (B,) bool that lose it; None: the batch keeps
    both.

    One is dropped with `probability`: audio with probability `audio`, otherwise video. An utterance
    keeps its only modality.
    """
    if probability == 0.0 or not {WAVEFORM, FACE} <= batch.lengths.keys():
        return None, None
    drops, choice = torch.rand(2, generator=generator).tolist()
    if drops >= probability:
        return None, None
    both = (batch.lengths[WAVEFORM] > 0) & (batch.lengths[FACE] > 0)
    return (WAVEFORM if choice < audio else FACE), both
