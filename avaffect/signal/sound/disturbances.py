"""Noise and babble, added at a signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from avaffect.signal import noise

# Voices of babble (Snyder et al. 2018).
VOICES = (3, 7)


class Recordings(Protocol):
    """Recordings at 16 kHz."""

    def piece(
        self, identifier: str, length: int, voices: int, random: np.random.Generator
    ) -> np.ndarray:
        """(length,) float32: the sum of pieces of so many recordings, at equal power."""


@dataclass(frozen=True)
class Disturbance:
    """snr_db: the range, uniform; voices: least and most recordings that are summed, 1 for plain
    noise. A silent utterance is not changed."""

    recordings: Recordings
    snr_db: tuple[float, float]
    voices: tuple[int, int] = (1, 1)

    def __call__(self, samples: Tensor, random: np.random.Generator, identifier: str) -> Tensor:
        ratio = float(random.uniform(*self.snr_db))
        voices = int(random.integers(self.voices[0], self.voices[1] + 1))
        speech = samples.cpu().numpy()
        if not noise.power(speech) > 0:
            return samples
        added = self.recordings.piece(identifier, len(speech), voices, random)
        return torch.from_numpy(noise.mix(speech, added, ratio)).to(samples.device)
