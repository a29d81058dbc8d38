"""Batches of sound for encoders, a tiny encoder for them, and seeded generators."""

from __future__ import annotations

import torch

from avaffect.core.batch import Batch
from avaffect.models.pase import PaseConfiguration

TINY_PASE = PaseConfiguration(
    filters=4,
    filter_width=31,
    blocks=((5, 20, 10), (6, 5, 2), (7, 3, 1), (8, 5, 2), (8, 3, 1), (8, 5, 2), (8, 5, 2)),
    dim=6,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wave_batch(waveform: torch.Tensor, lengths: torch.Tensor) -> Batch:
    """waveform (B, S), lengths (B,) samples at 16 kHz"""
    return Batch(
        [str(row) for row in range(len(lengths))],
        {"waveform": waveform}, {"waveform": lengths}, {"waveform": lengths > 0},
        {"waveform": 16000.0},
    )  # fmt: skip


def noise_batch(*samples: int) -> Batch:
    """White noise of so many samples in each utterance, noise in the padding too."""
    shape = (len(samples), max(samples))
    waveform = torch.randint(-9000, 9000, shape, generator=generator(), dtype=torch.int16)
    return wave_batch(waveform, torch.tensor(samples))


def one(batch: Batch, row: int) -> Batch:
    """One utterance of a batch, without its padding."""
    length = int(batch.lengths["waveform"][row])
    return wave_batch(batch.waveform[row : row + 1, :length], torch.tensor([length]))
