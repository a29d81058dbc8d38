"""Speakers: vocal tract, larynx and habits, from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avaffect.core.seeds import generator
from avaffect.synthetic.emotion import Prosody

# Standard deviation of the speakers' habits around a middle voice.
SPEAKER_SPREAD = Prosody(
    pitch_range=0.2, declination=0.5, final=0.6, peak=0.08, rate=0.1, pause=0.25, effort=1.5,
    brightness=1.5, breath=3.0, roughness=0.3, stress=0.8, staccato=0.03, smile=0.0,
)  # fmt: skip

# (pitch in Hz, factor on formant frequencies relative to a long vocal tract)
VOICES = ((112.0, 1.0), (200.0, 1.16))


@dataclass(frozen=True)
class Speaker:
    """pitch_hz at rest; tract_factor on formant frequencies; open quotient and asymmetry of the
    glottal pulse; rest and gain: (fields of Prosody,) habits, and how much an emotion moves each.
    """

    pitch_hz: float
    tract_factor: float
    open_quotient: float
    asymmetry: float
    rest: np.ndarray
    gain: np.ndarray


def speaker(seed: int, name: str, expressiveness: float) -> Speaker:
    """The speaker called `name` under `seed`; `expressiveness` is the mean of the gains."""
    random = generator(seed, name, "speaker")
    pitch, factor = VOICES[random.integers(len(VOICES))]
    fields = len(Prosody._fields)
    return Speaker(
        pitch_hz=pitch * 2 ** (np.clip(random.normal(0.0, 2.0), -5, 5) / 12),
        tract_factor=factor * 2 ** np.clip(random.normal(0.0, 0.05), -0.1, 0.1),
        open_quotient=random.uniform(0.5, 0.75),
        asymmetry=random.uniform(0.65, 0.8),
        rest=random.normal(0.0, 1.0, fields) * np.array(SPEAKER_SPREAD),
        gain=np.clip(random.normal(expressiveness, 0.2, fields), 0.4, 1.6),
    )
