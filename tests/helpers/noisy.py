"""Batches of sound, and recordings of tones, for augmentations."""

from __future__ import annotations

import numpy as np
import torch

from avaffect.core.batch import Batch

LENGTHS = (4000, 0, 2600, 3333)


def sounds(lengths: tuple[int, ...] = LENGTHS, padding: int = 0, seed: int = 0) -> Batch:
    """Noise of int16; past the end of an utterance it is not silent."""
    shape = (len(lengths), max(lengths) + padding)
    waves = np.random.default_rng(seed).normal(0, 2000, (len(lengths), max(lengths)))
    waves = np.pad(waves, ((0, 0), (0, padding)), constant_values=500).astype(np.int16)
    assert waves.shape == shape
    counts = torch.tensor(lengths)
    return Batch([f"u{n}" for n in range(len(lengths))], {"waveform": torch.from_numpy(waves)},
                 {"waveform": counts}, {"waveform": counts > 0}, {"waveform": 16000.0},
                 {"emotion": torch.tensor([0, 1, 2, -1])[: len(lengths)]})  # fmt: skip


class Tones:
    """Recordings of which each piece is a sum of tones, and that keep what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def piece(
        self, identifier: str, length: int, voices: int, random: np.random.Generator
    ) -> np.ndarray:
        self.asked.append((identifier, length, voices))
        steps, pitches = np.arange(length), random.uniform(0.01, 0.4, voices)
        return np.sin(steps[:, None] * pitches).sum(axis=1).astype(np.float32)
