"""Speed perturbation (Ko et al. 2015): faster, with a higher pitch, or slower."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.signal.audio import torchaudio

# Tenths of the speed, equally likely.
TENTHS = (9, 10, 11)
# Shorter utterances keep their length: there may be no frame left.
SHORTEST = SAMPLE_RATE_HZ // 10


def perturbed(samples: Tensor, random: np.random.Generator, identifier: str) -> Tensor:
    """(S,) -> (about S / 0.9, S or S / 1.1,) samples, resampled"""
    tenths = int(random.choice(TENTHS))
    return samples if len(samples) < SHORTEST else at_speed(samples, tenths)


def at_speed(samples: Tensor, tenths: int) -> Tensor:
    """(S,) -> (ceil(10 S / tenths),)"""
    return torchaudio.functional.resample(samples, tenths, 10)
