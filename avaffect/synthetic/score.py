"""Syllables of an utterance with their times, and the course of pitch, formants and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avaffect.synthetic.emotion import TREMOR_HZ, Prosody
from avaffect.synthetic.language import CONSONANTS, SCHWA, VOWELS, Consonant, Language
from avaffect.synthetic.speaker import Speaker
from avaffect.synthetic.voice import FRAME_RATE, Parameters

# The middle voice, to which Prosody adds.
ACCENT_SEMITONES = 5.5
DECLINATION = -2.0
FINAL_SEMITONES = -2.0
FINAL_SECONDS = 0.3
PAUSE_SECONDS = 0.25
PHRASE_SYLLABLES = (5.0, 11.0)
STRESS_DECIBELS = 3.0
STACCATO = 0.1
TILT_DECIBELS = 13.0
BREATH_DECIBELS = -26.0
ROUGHNESS = 0.01
PITCH_LIMITS_HZ = (55.0, 600.0)
SHORTEST_SYLLABLE = 0.06
SILENT_EDGE = 0.05

HIGHER_FORMANTS = (3500.0, 4500.0, 5600.0)
BANDWIDTHS = (70.0, 90.0, 130.0, 200.0, 300.0, 400.0)
# Standard deviations of the smoothing that turns steps into movements of the articulators.
FORMANT_SECONDS = 0.018
AMPLITUDE_SECONDS = 0.006


@dataclass(frozen=True)
class Syllable:
    """When it starts and how long it is, its phones by name ("" for none), its phrase's start."""

    start_s: float
    seconds: float
    onset: str
    vowel: str
    coda: str
    stressed: bool
    final: bool
    phrase_s: float


class Course:
    """A speaker's way of speaking over time: one attribute look-up per field of Prosody."""

    def __init__(self, values: np.ndarray) -> None:
        """values: (T, fields of Prosody) at FRAME_RATE."""
        self.values = values
        self.seconds = len(values) / FRAME_RATE

    def over(self, field: str) -> np.ndarray:
        return self.values[:, Prosody._fields.index(field)]

    def at(self, field: str, seconds: float) -> float:
        frame = min(int(seconds * FRAME_RATE), len(self.values) - 1)
        return float(self.over(field)[frame])


def syllables(language: Language, course: Course, random: np.random.Generator) -> list[Syllable]:
    """Phrases of syllables that fill the course; one at least."""
    end = course.seconds - min(SILENT_EDGE, course.seconds / 10)
    time = random.uniform(0.4, 1.0) * min(2 * SILENT_EDGE, course.seconds / 5)
    spoken: list[Syllable] = []
    phrase, left = time, 0
    while True:
        if left == 0:
            phrase = time
            factor = 2 ** (-0.4 * course.at("pause", time))
            left = max(2, round(random.uniform(*PHRASE_SYLLABLES) * factor))
        syllable = _syllable(language, course, random, time, phrase, final=left == 1)
        if time + syllable.seconds > end:
            break
        spoken.append(syllable)
        time += syllable.seconds
        left -= 1
        if left == 0:
            factor = 2 ** (course.at("pause", time) + random.normal(0.0, 0.3))
            time += PAUSE_SECONDS * float(np.clip(factor, 0.2, 4.0))
    if not spoken:
        return [replace(syllable, seconds=end - syllable.start_s, final=True)]
    spoken[-1] = replace(spoken[-1], final=True)
    return spoken


def _syllable(
    language: Language,
    course: Course,
    random: np.random.Generator,
    time: float,
    phrase: float,
    final: bool,
) -> Syllable:
    stressed = bool(random.random() < language.stressed)
    onset = "" if random.random() < language.bare else str(random.choice(language.onsets))
    coda = str(random.choice(language.codas)) if random.random() < language.closed else ""
    seconds = 2 ** -course.at("rate", time) / language.rate_hz
    seconds *= (1.15 if stressed else 0.9) * (1.3 if final else 1.0) * (1.15 if coda else 0.95)
    seconds *= 2 ** random.normal(0.0, 0.15)
    return Syllable(
        time,
        max(seconds, SHORTEST_SYLLABLE),
        onset,
        str(random.choice(language.vowels)),
        coda,
        stressed,
        final,
        phrase,
    )


def parameters(
    spoken: list[Syllable],
    language: Language,
    voice: Speaker,
    course: Course,
    random: np.random.Generator,
) -> Parameters:
    """The synthesiser's input for syllables spoken by `voice`."""
    canvas = _Canvas(len(course.values))
    for syllable in spoken:
        _articulate(canvas, syllable, language, course, random)
    formants = gaussian_filter1d(
        canvas.formants, FORMANT_SECONDS * FRAME_RATE, axis=0, mode="nearest"
    )
    factor = voice.tract_factor * 2 ** course.over("smile")[:, None]
    higher = np.broadcast_to(HIGHER_FORMANTS, (len(formants), len(HIGHER_FORMANTS)))
    damping = _smooth(canvas.damping)[:, None]
    breath = 10 ** ((BREATH_DECIBELS + course.over("breath")) / 20)
    voicing = _smooth(canvas.voicing)
    return Parameters(
        pitch=_pitch(spoken, voice, course, random),
        voicing=voicing,
        aspiration=_smooth(canvas.aspiration) * 0.12 + breath * voicing,
        frication=_smooth(canvas.frication),
        formants=np.minimum(np.hstack([formants, higher]) * factor, 7600.0),
        bandwidths=np.array(BANDWIDTHS) * damping,
        frication_centre=canvas.centre,
        frication_width=canvas.width,
        tilt=np.clip(TILT_DECIBELS - course.over("brightness"), 1.0, 30.0),
        roughness=np.clip(ROUGHNESS * 2 ** course.over("roughness"), 0.001, 0.06),
        open_quotient=voice.open_quotient,
        asymmetry=voice.asymmetry,
    )


def _smooth(values: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(values, AMPLITUDE_SECONDS * FRAME_RATE, mode="nearest")


class _Canvas:
    """Arrays of T frames that phones are painted on; silence to begin with."""

    def __init__(self, count: int) -> None:
        self.formants = np.tile(np.array(SCHWA), (count, 1))
        self.voicing, self.aspiration, self.frication = np.zeros((3, count))
        self.centre, self.width = np.full(count, 4000.0), np.full(count, 1500.0)
        self.damping = np.ones(count)

    def frames(self, start_s: float, seconds: float) -> slice:
        return slice(round(start_s * FRAME_RATE), round((start_s + seconds) * FRAME_RATE))


def _articulate(
    canvas: _Canvas,
    syllable: Syllable,
    language: Language,
    course: Course,
    random: np.random.Generator,
) -> None:
    start, seconds = syllable.start_s, syllable.seconds
    pace = seconds * language.rate_hz
    stress = STRESS_DECIBELS + course.at("stress", start)
    decibels = (0.5 if syllable.stressed else -0.5) * stress + random.normal(0.0, 1.0)
    level = 10 ** ((decibels - 3.0 * syllable.final) / 20)
    onset = CONSONANTS.get(syllable.onset)
    coda = CONSONANTS.get(syllable.coda)
    before = min(onset.seconds * pace**0.5, 0.45 * seconds) if onset else 0.0
    after = min(coda.seconds * pace**0.5, 0.25 * seconds) if coda else 0.0
    if onset:
        _paint_consonant(canvas, onset, start, before, level)
    if coda:
        _paint_consonant(canvas, coda, start + seconds - after, after, 0.8 * level)
    vowel = canvas.frames(start + before, seconds - before - after)
    target = np.array(VOWELS[syllable.vowel]) * 2 ** random.normal(0.0, 0.04, 3)
    reduction = 0.0 if syllable.stressed else language.reduction
    canvas.formants[vowel] = (1 - reduction) * target + reduction * np.array(SCHWA)
    cut = float(np.clip(STACCATO + course.at("staccato", start), 0.0, 0.6))
    sounding = canvas.frames(start + before, (seconds - before - after) * (1 - cut))
    # Vowels die away towards the next closure instead of ending at full level.
    canvas.voicing[sounding] = level * np.linspace(1.0, 0.6, sounding.stop - sounding.start)


def _paint_consonant(
    canvas: _Canvas, phone: Consonant, start: float, seconds: float, level: float
) -> None:
    whole = canvas.frames(start, seconds)
    noisy = canvas.frames(start + 0.65 * seconds, 0.35 * seconds) if phone.stop else whole
    canvas.formants[whole] = phone.formants
    canvas.voicing[whole] = phone.voicing * level
    canvas.aspiration[noisy] = phone.aspiration * level
    canvas.frication[noisy] = phone.frication * level
    canvas.centre[whole], canvas.width[whole] = phone.centre, phone.width
    canvas.damping[whole] = phone.damping


def _pitch(
    spoken: list[Syllable], voice: Speaker, course: Course, random: np.random.Generator
) -> np.ndarray:
    """Fundamental frequency in Hz: declination, accents and final movements in semitones."""
    times = np.arange(len(course.values)) / FRAME_RATE
    starts = np.array([s.start_s for s in spoken])
    last = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
    since = np.maximum(times - np.array([s.phrase_s for s in spoken])[last], 0.0)
    semitones = course.over("pitch") + (DECLINATION + course.over("declination")) * since
    for syllable in spoken:
        height = ACCENT_SEMITONES * 2 ** course.at("pitch_range", syllable.start_s)
        height *= random.uniform(0.6, 1.4) * (1.0 if syllable.stressed else 0.3)
        place = 0.45 + course.at("peak", syllable.start_s)
        peak = syllable.start_s + place * syllable.seconds
        width = 0.35 * syllable.seconds
        semitones += height * np.exp(-0.5 * ((times - peak) / width) ** 2)
        if syllable.final:
            end = syllable.start_s + syllable.seconds
            reach = np.clip((times - end) / FINAL_SECONDS + 1, 0.0, 1.0) * (times <= end)
            semitones += (FINAL_SEMITONES + course.at("final", syllable.start_s)) * reach
    phase = random.uniform(0, 2 * np.pi)
    tremor = np.maximum(course.over("tremor"), 0.0)
    semitones += tremor * np.sin(2 * np.pi * TREMOR_HZ * times + phase)
    drift = gaussian_filter1d(random.normal(0.0, 1.0, len(times)), 8.0, mode="nearest")
    smooth = gaussian_filter1d(semitones + drift, 2.0, mode="nearest")
    return np.clip(voice.pitch_hz * 2 ** (smooth / 12), *PITCH_LIMITS_HZ)
