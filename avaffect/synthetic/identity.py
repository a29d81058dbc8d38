"""Identities of faces: shapes, colours, hair, glasses and beard, from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avaffect.core.seeds import generator

Colour = tuple[float, float, float]

# RGB in an even light, from light to dark.
SKIN = ((244, 212, 190), (232, 190, 160), (214, 165, 130), (180, 128, 96), (136, 92, 68))
HAIR = (
    (42, 32, 30), (66, 46, 36), (98, 66, 44), (142, 98, 58), (188, 150, 96), (150, 72, 40),
    (150, 148, 146),
)  # fmt: skip
IRIS = ((74, 48, 32), (96, 70, 40), (84, 102, 70), (78, 110, 138), (104, 116, 122))
CLOTHES = (
    (52, 70, 104), (112, 44, 52), (58, 92, 82), (88, 88, 96), (168, 160, 148), (110, 84, 128),
    (46, 48, 56), (150, 112, 70),
)  # fmt: skip
STYLES = ("short", "parted", "long", "bob", "receding", "curly")


@dataclass(frozen=True)
class Face:
    """Factors around 1 unless said: width of the head and of the jaw, length of the lower face,
    distance of the eyes, size of eyes, nose and lips, thickness and arch of the brows. Colours are
    RGB; beard from 0 (none) to 1; lashes: how dark.
    """

    width: float
    jaw: float
    length: float
    eye_distance: float
    eye_size: float
    nose: float
    lips: float
    mouth: float
    brow: float
    arch: float
    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    style: str
    beard: float
    glasses: bool
    lashes: float
    grain: int


def face(seed: int, name: str, low_voice: bool) -> Face:
    """The face of the speaker called `name` under `seed`; a low voice may go with a beard."""
    random = generator(seed, name, "face")

    def factor(spread: float) -> float:
        return float(np.clip(random.normal(1.0, spread), 1 - 2 * spread, 1 + 2 * spread))

    lower = random.uniform(0.0, len(SKIN) - 1.001)
    first = int(lower)
    part = lower - first
    red, green, blue = ((1 - part) * a + part * b for a, b in zip(SKIN[first], SKIN[first + 1]))
    hair = HAIR[int(random.integers(len(HAIR) if lower < 2.5 else 3))]
    styles = ("short", "parted", "receding", "curly") if low_voice else STYLES[1:4] + STYLES[5:]
    iris = IRIS[int(random.integers(len(IRIS) if lower < 2.0 else 2))]
    beard = random.uniform(0.3, 1.0) if low_voice and random.random() < 0.35 else 0.0
    return Face(
        width=factor(0.04), jaw=factor(0.07) * (1.06 if low_voice else 0.95), length=factor(0.03),
        eye_distance=factor(0.05), eye_size=factor(0.06) * (0.97 if low_voice else 1.05),
        nose=factor(0.1), lips=factor(0.15) * (0.9 if low_voice else 1.1), mouth=factor(0.06),
        brow=factor(0.15) * (1.2 if low_voice else 0.85), arch=factor(0.3),
        skin=(red, green, blue), hair=hair, iris=iris,
        clothes=CLOTHES[int(random.integers(len(CLOTHES)))],
        style=str(random.choice(styles)),
        beard=float(beard),
        glasses=bool(random.random() < 0.2),
        lashes=0.5 if low_voice else float(random.uniform(0.7, 1.0)),
        grain=int(random.integers(2**31)),
    )  # fmt: skip
