"""Effects of emotions on the face over time, and motion of the face during speech.

Action units (AU) and their prototypes follow Ekman & Friesen (FACS, 1978; EMFACS, 1983); gaze and
posture follow Wallbott (1998, table 5). Expressions are posed, at full strength on average: of
CREMA-D's posed faces without sound, raters' most frequent vote is the intended emotion for 96 % of
happiness, 93 % of neutral, 69 % of anger and 36 % of sadness (Cao et al. 2014, the corpus's table
of votes). The emotion of a face agrees with that of the voice only in part: its intensity,
exceptions and mixture are drawn independently, so that both modalities together have more
information than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avaffect.core.seeds import generator
from avaffect.synthetic import emotion
from avaffect.synthetic.language import SCHWA, VOWELS
from avaffect.synthetic.score import Course, Syllable
from avaffect.synthetic.speaker import Speaker
from avaffect.synthetic.voice import FRAME_RATE, Parameters


class Expression(NamedTuple):
    """An expression, as differences from a neutral face; 1 is an action unit at full strength.

    inner_brow, outer_brow  raised (AU 1, 2)
    brow_lower              lowered and drawn together (AU 4)
    upper_lid               raised (AU 5); negative: drooping
    cheek                   raised (AU 6)
    lid_tight               lower lids tightened (AU 7)
    nose                    wrinkled (AU 9)
    corner                  lip corners pulled up (AU 12); negative: depressed (AU 15)
    stretch                 lips stretched (AU 20)
    press                   lips pressed (AU 24)
    drop                    jaw dropped beyond what speech needs (AU 26)
    gaze_side, gaze_down    eyes turned
    bow, tilt               head bent forward, or to a side
    motion, blink           log2 of factors on the head's movement and on the rate of blinks
    """

    inner_brow: float = 0.0
    outer_brow: float = 0.0
    brow_lower: float = 0.0
    upper_lid: float = 0.0
    cheek: float = 0.0
    lid_tight: float = 0.0
    nose: float = 0.0
    corner: float = 0.0
    stretch: float = 0.0
    press: float = 0.0
    drop: float = 0.0
    gaze_side: float = 0.0
    gaze_down: float = 0.0
    bow: float = 0.0
    tilt: float = 0.0
    motion: float = 0.0
    blink: float = 0.0


LOOKS = {
    "anger": Expression(
        brow_lower=1.0, upper_lid=0.4, lid_tight=0.6, nose=0.3, corner=-0.35, press=0.7,
        bow=0.2, motion=0.6, blink=-0.3,
    ),
    "happiness": Expression(
        outer_brow=0.15, cheek=0.8, corner=1.0, stretch=0.3, drop=0.1, bow=-0.1, motion=0.4,
        blink=0.2,
    ),
    "sadness": Expression(
        inner_brow=0.9, brow_lower=0.3, upper_lid=-0.4, corner=-0.75, gaze_down=0.6, bow=0.5,
        tilt=0.2, motion=-0.8,
    ),
    "neutral": Expression(),
    "fear": Expression(
        inner_brow=0.8, outer_brow=0.6, brow_lower=0.3, upper_lid=0.9, corner=-0.2, stretch=0.7,
        drop=0.25, bow=-0.2, motion=0.3, blink=0.7,
    ),
    "disgust": Expression(
        brow_lower=0.5, cheek=0.3, lid_tight=0.4, nose=1.0, corner=-0.5, gaze_side=0.3, bow=-0.2,
    ),
    "surprise": Expression(
        inner_brow=1.0, outer_brow=1.0, upper_lid=0.8, drop=0.5, bow=-0.2, motion=0.2, blink=-0.5,
    ),
    "boredom": Expression(
        upper_lid=-0.8, corner=-0.25, gaze_side=0.6, gaze_down=0.2, bow=0.2, tilt=0.4, motion=-0.5,
        blink=0.5,
    ),
}  # fmt: skip

# Standard deviations of neutral faces between people, and between utterances.
REST_SPREAD = Expression(
    inner_brow=0.08, outer_brow=0.1, brow_lower=0.1, upper_lid=0.1, cheek=0.05, lid_tight=0.08,
    nose=0.03, corner=0.1, stretch=0.08, press=0.1, drop=0.02, gaze_side=0.05, gaze_down=0.05,
    bow=0.1, tilt=0.1, motion=0.3, blink=0.5,
)  # fmt: skip
UTTERANCE_SPREAD = Expression(
    inner_brow=0.13, outer_brow=0.13, brow_lower=0.15, upper_lid=0.15, cheek=0.1, lid_tight=0.1,
    nose=0.06, corner=0.16, stretch=0.12, press=0.12, drop=0.04, gaze_side=0.3, gaze_down=0.2,
    bow=0.18, tilt=0.3, motion=0.4, blink=0.4,
)  # fmt: skip

# Action units that follow the course of valence; the others follow arousal, like the voice.
VALENCED = ("inner_brow", "cheek", "corner", "gaze_down")
INTENSITY = (1.1, 1.5)
LARGEST_BLEND = 0.25
# Share of utterances whose face has another emotion than the voice.
BELIED_SHARE = 0.05
BLINKS_HZ = 0.3
BLINK_S = 0.22
# Smoothing of lip motion, as articulators are slower than the glottis.
LIPS_S = 0.022


@dataclass(frozen=True)
class Acting:
    """A face over T frames.

    look     (T, fields of Expression)
    lids     (T,) 0 open .. 1 shut in a blink
    opening  (T,) 0 shut .. about 1: how far speech opens the mouth
    rounding, spreading  (T,) 0 .. 1 of the lips in speech
    place    (T, 2) the head's way to the right and down, in widths of a face
    turn     (T, 3) yaw, pitch, roll; yaw and pitch 1 at about 20 degrees, roll in radians
    """

    look: np.ndarray
    lids: np.ndarray
    opening: np.ndarray
    rounding: np.ndarray
    spreading: np.ndarray
    place: np.ndarray
    turn: np.ndarray


def acting(
    seed: int, utterance_id: str, speaker_id: str, felt: str, intensity: float,
    expressiveness: float, times: np.ndarray, course: Course, parameters: Parameters,
    who: Speaker, spoken: list[Syllable],
) -> Acting:  # fmt: skip
    """The face of an utterance at `times` (seconds), synchronous with its voice."""
    person = generator(seed, speaker_id, "looks")
    random = generator(seed, utterance_id, "looks")
    fields = len(Expression._fields)
    rest = person.normal(0.0, 1.0, fields) * np.array(REST_SPREAD)
    gain = np.clip(person.normal(expressiveness, 0.2, fields), 0.4, 1.5)
    shown = gain * _shift(felt, intensity, random)
    sway = np.stack([
        emotion.envelope(seed, utterance_id, "valence" if f in VALENCED else "arousal", times)
        for f in Expression._fields
    ], axis=1)  # fmt: skip
    look = rest + sway * shown
    opening, rounding, spreading = _lips(times, course, parameters, who)
    accents = _accents(times, spoken)
    look[:, Expression._fields.index("outer_brow")] += 0.25 * accents
    strength = 2 ** np.clip(look[:, Expression._fields.index("motion")], -2, 2)
    blinking = 2 ** float(np.clip(look[:, Expression._fields.index("blink")].mean(), -2, 2))
    return Acting(
        look=look,
        lids=_blinks(times, BLINKS_HZ * blinking, random),
        opening=opening,
        rounding=rounding,
        spreading=spreading,
        place=strength[:, None] * np.stack([_drift(times, random, 0.05) for _ in range(2)], axis=1),
        turn=_turn(times, look, strength, accents, random),
    )


def _shift(felt: str, intensity: float, random: np.random.Generator) -> np.ndarray:
    """Difference of the face of an utterance from the speaker's neutral: (fields of
    Expression,)."""
    others = sorted(name for name in LOOKS if name != felt)
    if random.random() < BELIED_SHARE:
        felt = str(random.choice(others))
    weight = 0.0 if felt == "neutral" else random.uniform(0.0, LARGEST_BLEND)
    other = LOOKS[str(random.choice(others))]
    blend = (1 - weight) * np.array(LOOKS[felt]) + weight * np.array(other)
    strength = intensity * random.uniform(*INTENSITY)
    return strength * blend + random.normal(0.0, 1.0, len(blend)) * np.array(UTTERANCE_SPREAD)


def _lips(
    times: np.ndarray, course: Course, parameters: Parameters, who: Speaker
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening by the first formant and the loudness, rounding and spreading by the second."""
    factor = who.tract_factor * 2 ** course.over("smile")
    first, second = parameters.formants[:, :2].T / factor
    lowest, highest = VOWELS["i"][0], VOWELS["A"][0]
    height = np.clip((first - lowest) / (highest - lowest), 0.0, 1.1)
    loud = np.maximum(parameters.voicing, 0.7 * parameters.aspiration)
    effort = 2 ** np.clip(course.over("effort") / 12, -0.5, 0.6)
    opening = effort * np.sqrt(np.clip(loud, 0.0, 1.6)) * (0.2 + 0.8 * height)
    speech = np.clip(4 * (loud + parameters.frication), 0.0, 1.0)
    rounding = speech * np.clip((SCHWA[1] - 300 - second) / 400, 0.0, 1.0)
    spreading = speech * np.clip((second - SCHWA[1] - 100) / 700, 0.0, 1.0)
    clock = np.arange(len(first)) / FRAME_RATE
    smooth = (gaussian_filter1d(v, LIPS_S * FRAME_RATE) for v in (opening, rounding, spreading))
    opening, rounding, spreading = (np.interp(times, clock, values) for values in smooth)
    return opening, rounding, spreading


def _accents(times: np.ndarray, spoken: list[Syllable]) -> np.ndarray:
    """Bumps of height 1 on stressed syllables."""
    bumps = np.zeros(len(times))
    for syllable in spoken:
        if syllable.stressed:
            middle = syllable.start_s + 0.5 * syllable.seconds
            bumps += np.exp(-0.5 * ((times - middle) / 0.08) ** 2)
    return np.minimum(bumps, 1.0)


def _blinks(times: np.ndarray, rate_hz: float, random: np.random.Generator) -> np.ndarray:
    shut = np.zeros(len(times))
    moment = random.exponential(1 / rate_hz)
    while moment < times[-1]:
        shut = np.maximum(shut, np.exp(-0.5 * ((times - moment) / (BLINK_S / 4)) ** 2))
        moment += BLINK_S + random.exponential(1 / rate_hz)
    return shut


def _drift(times: np.ndarray, random: np.random.Generator, size: float) -> np.ndarray:
    """A slow wandering of the standard deviation `size`."""
    periods, phases = random.uniform(1.2, 6.0, 3), random.uniform(0.0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * times[:, None] / periods + phases)
    return size * np.sqrt(2 / 3) * waves.sum(axis=1)


def _turn(
    times: np.ndarray, look: np.ndarray, strength: np.ndarray, accents: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    bow, tilt = (look[:, Expression._fields.index(name)] for name in ("bow", "tilt"))
    side = random.choice([-1.0, 1.0])
    yaw = strength * _drift(times, random, 0.18) + random.normal(0.0, 0.12)
    pitch = bow + strength * (_drift(times, random, 0.1) + 0.2 * accents)
    roll = 0.12 * side * tilt + strength * _drift(times, random, 0.02)
    return np.stack([np.clip(yaw, -1, 1), np.clip(pitch, -1, 1), np.clip(roll, -0.25, 0.25)], 1)
