"""Changes of waveforms in a batch, utterance by utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.signal import draws, ranks
from avaffect.signal.features import unit_scale


class SoundChange(Protocol):
    """Of one utterance: samples (S,) float32 with full scale at 1.0, S > 0 -> (S',), drawn from
    `random` alone."""

    def __call__(self, samples: Tensor, random: np.random.Generator, identifier: str) -> Tensor: ...


def changed(batch: Batch, changes: Sequence[SoundChange], generator: torch.Generator) -> Batch:
    """The batch with every waveform changed by each in turn, as float32 with full scale at 1.0.

    Each utterance has draws of its own: padding and the rest of the batch change nothing. A batch
    without sound is not changed.
    """
    if not changes or batch.waveform is None or batch.waveform.shape[1] == 0:
        return batch
    seeds = draws.below(generator, 2**62, len(batch)).tolist()
    lengths = batch.lengths[WAVEFORM].tolist()
    rows = []
    for wave, length, seed, identifier in zip(
        unit_scale(batch.waveform), lengths, seeds, batch.ids
    ):
        random, samples = np.random.default_rng(seed), wave[:length]
        for change in changes if length else ():
            samples = change(samples, random, identifier)
        rows.append(samples)
    known = batch.lengths[WAVEFORM].new_tensor([len(row) for row in rows])
    waves = pad_sequence(rows, batch_first=True)
    waves = F.pad(waves, (0, ranks.longest(known) - waves.shape[1]))
    return replace(
        batch,
        streams={**batch.streams, WAVEFORM: waves},
        lengths={**batch.lengths, WAVEFORM: known},
    )


def power(samples: Tensor) -> float:
    """Mean square of (S,) samples"""
    return float(samples.double().square().mean())
