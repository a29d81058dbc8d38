"""Reverberation: the response of a room, recorded or simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.signal.noise import unit_scale
from avaffect.signal.sound.changes import power

# Ranges of simulated rooms, uniform: seconds in which the sound falls by 60 dB; and direct over
# reverberant energy in dB.
T60_S, DIRECT_DB = (0.2, 0.8), (0.0, 10.0)
# Of a recorded response, after the direct sound.
LONGEST_S = 2.0


@dataclass(frozen=True)
class Room:
    """responses: recorded ones (L,), int16 or floating point; without any, one is simulated for
    each utterance. The utterance keeps its length and its power."""

    responses: Sequence[np.ndarray] = ()

    def __call__(self, samples: Tensor, random: np.random.Generator, identifier: str) -> Tensor:
        if self.responses:
            response = direct_on(self.responses[int(random.integers(len(self.responses)))])
        else:
            t60, ratio = random.uniform(*T60_S), random.uniform(*DIRECT_DB)
            response = simulated(t60, ratio, random)
        return reverberant(samples, torch.from_numpy(response).to(samples.device))


def simulated(t60_s: float, direct_db: float, random: np.random.Generator) -> np.ndarray:
    """(L,) float32: the direct sound, 1 at sample 0, and Gaussian noise that decays exponentially,
    by 60 dB in t60_s, with 10^(-direct_db / 10) of its energy (Polack's model of late
    reverberation; no single reflections, no colour)."""
    times = np.arange(1, max(2, round(t60_s * SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ
    tail = random.normal(size=len(times)) * 10.0 ** (-3.0 * times / t60_s)
    tail *= np.sqrt(10.0 ** (-direct_db / 10.0) / np.square(tail).sum())
    return np.concatenate([[1.0], tail]).astype(np.float32)


def direct_on(recorded: np.ndarray) -> np.ndarray:
    """A recorded response from its largest sample, the direct sound, on: it delays nothing."""
    first = int(np.abs(unit_scale(recorded)).argmax())
    return unit_scale(recorded[first : first + round(LONGEST_S * SAMPLE_RATE_HZ)])


def reverberant(samples: Tensor, response: Tensor) -> Tensor:
    """(S,) convolved with (L,), its first S samples, at the power of the original; a silent
    utterance, or response, changes nothing."""
    size = len(samples) + len(response) - 1
    spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(response, size)
    found = torch.fft.irfft(spectrum, size)[: len(samples)]
    before, after = power(samples), power(found)
    return found * (before / after) ** 0.5 if before > 0 and after > 0 else samples
