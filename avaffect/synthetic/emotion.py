"""Effects of emotions on the voice, and their strength over time.

Directions follow the reviews of Murray & Arnott (1993, table 1), Juslin & Laukka (2003, table 11)
and Scherer (2003, table 2). Sizes follow acted speech: EmoDB (Burkhardt et al. 2005), 339
utterances of ten actors, against domain A, 200 utterances of ten speakers of 2 to 3.2 s, both by
eGeMAPS of openSMILE. Differences from the speaker's neutral speech, each also in standard
deviations within speaker and emotion (in brackets):

                                    anger          happiness      sadness        deviation
    pitch, semitones     EmoDB       9.2 (4.9)      8.4 (4.5)     -2.4 (-1.3)    1.87
                         synthetic   7.8 (4.2)      8.1 (4.3)     -2.7 (-1.4)    1.88
    20-80 % range of     EmoDB       1.0 (0.5)      2.0 (1.0)     -1.7 (-0.8)    2.0
    pitch, semitones     synthetic   1.7 (1.2)      1.2 (0.9)     -0.5 (-0.4)    1.4
    alpha ratio, dB      EmoDB      10.4 (4.8)      6.6 (3.1)     -3.9 (-1.8)    2.2
                         synthetic   7.0 (4.0)      5.6 (3.2)     -3.3 (-1.9)    1.8
    first formant, Hz    EmoDB       224 (3.5)      159 (2.5)       97 (1.5)     65
                         synthetic   133 (2.5)      138 (2.5)      -27 (-0.5)    54
    unvoiced segments,   EmoDB     -0.01 (-0.3)   -0.01 (-0.4)    0.13 (3.8)     0.03
    s                    synthetic -0.02 (-0.4)   -0.01 (-0.3)    0.08 (1.7)     0.05

The same sentence lasts as long in EmoDB's anger and happiness as in neutral speech (log2 of the
ratio 0.07 and 0.04), and 0.68 longer in sadness. Logistic regression on eGeMAPS finds an unweighted
average recall of 0.78 for unseen actors of EmoDB and of 0.77 for unseen speakers here. Emotions
that were not measured are in proportion.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from avaffect.core.seeds import generator


class Prosody(NamedTuple):
    """A way of speaking, as departures from a middle voice; an emotion shifts it.

    pitch          semitones
    pitch_range    log2 of a factor on the height of pitch accents
    declination    semitones per second over a phrase
    final          semitones of pitch movement at the end of a phrase
    peak           place of the accent's peak within its syllable, in syllables (negative: early)
    rate           log2 of a factor on the syllable rate
    pause          log2 of a factor on the length and number of pauses
    effort         decibels of level before loudness is normalised
    brightness     decibels gained at 3 kHz by less spectral tilt of the glottal source
    breath         decibels of aspiration noise
    roughness      log2 of a factor on jitter and shimmer
    stress         decibels by which stressed syllables exceed the others
    staccato       part of a vowel cut off its end
    tremor         semitones of pitch tremor at 6 Hz
    smile          log2 of a factor on the formant frequencies
    """

    pitch: float = 0.0
    pitch_range: float = 0.0
    declination: float = 0.0
    final: float = 0.0
    peak: float = 0.0
    rate: float = 0.0
    pause: float = 0.0
    effort: float = 0.0
    brightness: float = 0.0
    breath: float = 0.0
    roughness: float = 0.0
    stress: float = 0.0
    staccato: float = 0.0
    tremor: float = 0.0
    smile: float = 0.0


SHIFTS = {
    "anger": Prosody(
        pitch=11.0, pitch_range=0.4, declination=-1.0, final=-3.0, peak=-0.3, rate=0.1, pause=-0.3,
        effort=6.0, brightness=16.0, breath=-2.0, roughness=0.3, stress=5.0, staccato=0.25,
        smile=0.12,
    ),
    "happiness": Prosody(
        pitch=7.5, pitch_range=0.7, declination=1.0, final=4.0, peak=0.25, rate=0.05, pause=-0.2,
        effort=3.0, brightness=10.0, stress=3.0, smile=0.08,
    ),
    "sadness": Prosody(
        pitch=-2.0, pitch_range=-0.8, final=-0.5, peak=0.1, rate=-0.7, pause=1.2,
        effort=-4.0, brightness=-9.0, breath=0.5, roughness=0.3, stress=-2.0, staccato=-0.05,
    ),
    "neutral": Prosody(),
    "fear": Prosody(
        pitch=9.0, pitch_range=-0.2, final=1.0, rate=0.35, pause=0.4, effort=-1.0, brightness=4.0,
        breath=2.5, roughness=0.8, tremor=0.6,
    ),
    "disgust": Prosody(
        pitch=-2.0, pitch_range=0.3, declination=-1.0, final=-4.0, peak=0.3, rate=-0.25, pause=0.3,
        effort=1.0, roughness=1.0, stress=2.5, smile=-0.03,
    ),
    "surprise": Prosody(
        pitch=9.0, pitch_range=1.0, declination=2.0, final=7.0, peak=0.3, rate=0.05, effort=3.0,
        brightness=5.0, stress=2.0,
    ),
    "boredom": Prosody(
        pitch=-1.5, pitch_range=-1.0, final=-0.5, rate=-0.3, pause=0.3, effort=-3.0,
        brightness=-5.0, stress=-2.0,
    ),
}  # fmt: skip

# (arousal, valence) at full intensity, after the circumplex of Russell (1980).
AFFECT = {
    "anger": (0.8, -0.7),
    "happiness": (0.6, 0.8),
    "sadness": (-0.6, -0.7),
    "neutral": (0.0, 0.0),
    "fear": (0.7, -0.6),
    "disgust": (0.2, -0.7),
    "surprise": (0.8, 0.3),
    "boredom": (-0.7, -0.3),
}

# Standard deviation between utterances that is independent of emotion.
UTTERANCE_SPREAD = Prosody(
    pitch=1.2, pitch_range=0.2, declination=0.5, final=0.7, peak=0.06, rate=0.1, pause=0.25,
    effort=1.5, brightness=1.5, breath=1.2, roughness=0.2, stress=0.7, staccato=0.03, tremor=0.05,
    smile=0.01,
)  # fmt: skip

# Emotions are mixed: up to this share of an utterance's shift is that of another emotion.
LARGEST_BLEND = 0.25
TRACE_SWAY = 0.35
TREMOR_HZ = 6.0


def affect(emotion: str, intensity: float, random: np.random.Generator) -> tuple[float, float]:
    """Arousal and valence in [-1, 1] of an utterance."""
    arousal, valence = AFFECT[emotion]
    noise = random.normal(0.0, 0.08, 2)
    return (
        float(np.clip(intensity * arousal + noise[0], -1, 1)),
        float(np.clip(intensity * valence + noise[1], -1, 1)),
    )


def shift(emotion: str, intensity: float, random: np.random.Generator) -> np.ndarray:
    """Difference of an utterance from its speaker's neutral prosody: (fields of Prosody,)
    float64."""
    # Neutral speech is not mixed with other emotions, so that a pool has truly neutral speech.
    other = random.choice(sorted(SHIFTS))
    weight = 0.0 if emotion == "neutral" else random.uniform(0.0, LARGEST_BLEND)
    blend = (1 - weight) * np.array(SHIFTS[emotion]) + weight * np.array(SHIFTS[other])
    return intensity * blend + random.normal(0.0, 1.0, len(blend)) * np.array(UTTERANCE_SPREAD)


def envelope(seed: int, utterance_id: str, dimension: str, times: np.ndarray) -> np.ndarray:
    """The factor around 1 by which an affective dimension varies over `times` (seconds)."""
    random = generator(seed, utterance_id, "envelope", dimension)
    periods, phases = random.uniform(1.5, 6.0, 3), random.uniform(0.0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * times[:, None] / periods + phases).mean(axis=1)
    return 1.0 + TRACE_SWAY * waves
