"""Languages of the domains: invented sounds and rhythms over real phones."""

from __future__ import annotations

from dataclasses import dataclass

# First three formants of men in Hz (Peterson & Barney, 1952, table II; e, o, y, oe interpolated).
VOWELS = {
    "i": (270, 2290, 3010),
    "I": (390, 1990, 2550),
    "e": (400, 2100, 2650),
    "E": (530, 1840, 2480),
    "ae": (660, 1720, 2410),
    "A": (730, 1090, 2440),
    "V": (640, 1190, 2390),
    "O": (570, 840, 2410),
    "o": (450, 880, 2400),
    "U": (440, 1020, 2240),
    "u": (300, 870, 2240),
    "y": (270, 1900, 2250),
    "oe": (400, 1600, 2250),
}
SCHWA = (500.0, 1500.0, 2450.0)


@dataclass(frozen=True)
class Consonant:
    """Formant targets in Hz, amplitudes relative to a vowel, the band of its noise in Hz, a length
    in seconds at a middle rate; `stop` closes first and bursts after; `damping` widens bandwidths.
    """

    formants: tuple[float, float, float]
    seconds: float
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    centre: float = 4000.0
    width: float = 1500.0
    stop: bool = False
    damping: float = 1.0


LABIAL, ALVEOLAR, VELAR = (300, 900, 2200), (300, 1750, 2650), (300, 1900, 2200)
CONSONANTS = {
    "p": Consonant(LABIAL, 0.10, 0.0, 0.5, 0.5, 1200, 900, stop=True),
    "t": Consonant(ALVEOLAR, 0.10, 0.0, 0.5, 0.8, 4500, 1500, stop=True),
    "k": Consonant(VELAR, 0.11, 0.0, 0.6, 0.8, 2000, 600, stop=True),
    "b": Consonant(LABIAL, 0.08, 0.12, 0.0, 0.2, 1000, 800, stop=True),
    "d": Consonant(ALVEOLAR, 0.07, 0.12, 0.0, 0.3, 4000, 1500, stop=True),
    "g": Consonant(VELAR, 0.08, 0.12, 0.0, 0.3, 1900, 600, stop=True),
    "f": Consonant(LABIAL, 0.10, frication=0.25, centre=5500, width=3000),
    "s": Consonant(ALVEOLAR, 0.11, frication=0.7, centre=6000, width=1100),
    "S": Consonant((300, 1800, 2500), 0.11, frication=0.8, centre=3200, width=900),
    "x": Consonant(VELAR, 0.10, frication=0.5, centre=1700, width=700),
    "h": Consonant((500, 1500, 2450), 0.07, aspiration=0.9),
    "v": Consonant(LABIAL, 0.07, 0.35, frication=0.12, centre=5500, width=3000),
    "z": Consonant(ALVEOLAR, 0.08, 0.3, frication=0.35, centre=6000, width=1100),
    "m": Consonant((250, 1000, 2200), 0.08, 0.5, damping=3.0),
    "n": Consonant((250, 1450, 2500), 0.07, 0.5, damping=3.0),
    "N": Consonant((250, 2000, 2600), 0.07, 0.45, damping=3.0),
    "l": Consonant((360, 1100, 2700), 0.07, 0.6, damping=1.5),
    "r": Consonant((350, 1200, 1600), 0.07, 0.6, damping=1.3),
    "j": Consonant((280, 2250, 3000), 0.06, 0.7),
    "w": Consonant((300, 700, 2200), 0.06, 0.7),
}


@dataclass(frozen=True)
class Language:
    """Vowels, syllable onsets and codas by name; how often a syllable lacks an onset, has a coda
    or is stressed; the middle syllable rate in Hz; how far unstressed vowels move towards schwa.
    """

    vowels: tuple[str, ...]
    onsets: tuple[str, ...]
    codas: tuple[str, ...]
    bare: float
    closed: float
    stressed: float
    rate_hz: float
    reduction: float


LANGUAGES = {
    "A": Language(
        vowels=("i", "I", "E", "A", "O", "U", "u", "y", "oe"),
        onsets=("p", "t", "k", "b", "d", "g", "f", "s", "S", "v", "z", "m", "n", "l", "r", "h"),
        codas=("n", "t", "s", "x", "l", "m"),
        bare=0.08,
        closed=0.35,
        stressed=0.45,
        rate_hz=5.0,
        reduction=0.35,
    ),
    "B": Language(
        vowels=("i", "e", "A", "o", "u"),
        onsets=("p", "t", "k", "b", "d", "g", "s", "S", "m", "n", "l", "r", "j", "w"),
        codas=("n", "s", "l"),
        bare=0.12,
        closed=0.15,
        stressed=0.4,
        rate_hz=5.6,
        reduction=0.1,
    ),
    "U": Language(
        vowels=("i", "I", "e", "ae", "A", "V", "o", "u"),
        onsets=("p", "t", "k", "b", "d", "g", "x", "s", "z", "m", "n", "r", "j", "w", "h"),
        codas=("N", "r", "k", "n"),
        bare=0.05,
        closed=0.25,
        stressed=0.45,
        rate_hz=5.2,
        reduction=0.2,
    ),
}
