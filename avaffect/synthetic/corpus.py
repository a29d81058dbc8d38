"""Corpora of synthetic people: speakers, emotions and recordings of all utterances.

Each utterance is a pure function of the corpus's seed, its domain and its index; it does not depend
on the number of utterances or on the others. Equal seeds give equal bytes with equal library
versions.

    A   labelled source: acted, a quiet studio
    B   large pool: weaker emotions, every kind of room, noise and microphone; meant to be planned
        with most utterances neutral
    U   unseen third corpus: another room and microphone, between the two

This module makes the audio; `clip` adds faces to it. Speakers, faces and languages differ
between domains. Difficulty, as unweighted average recall of four emotions (chance 0.25; logistic
regression, 256 clips of 16 speakers in A and in U, 1.2 to 1.8 s, one seed):

                                                     unseen speakers of A / of U / A to U
    mean and deviation of 80 log-mel bands           0.57 / 0.47 / 0.53
    mean and deviation of 12 x 12 grey pixels        0.60 / 0.55 / 0.52
    truth of the voice (means of Prosody)            1.00 /      / 0.99
    truth of the face (mean action units)            0.93 /      / 0.94
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from avaffect.core.errors import UsageError
from avaffect.core.seeds import generator
from avaffect.core.writing import writing
from avaffect.synthetic import channel, emotion, score, voice
from avaffect.synthetic.emotion import Prosody
from avaffect.synthetic.language import LANGUAGES
from avaffect.synthetic.speaker import Speaker, speaker
from avaffect.synthetic.voice import Parameters

EMOTIONS = ("anger", "happiness", "sadness", "neutral")
ALL_EMOTIONS = tuple(emotion.SHIFTS)
# Expressiveness of the speakers of a domain: acted, natural, in between.
EXPRESSIVENESS = {"A": 1.0, "B": 0.8, "U": 0.9}
INTENSITY = (0.7, 1.0)
SPEAKERS_PER_SESSION = 2


@dataclass(frozen=True)
class Utterance:
    """The parameters of an utterance. Arousal and valence lie in [-1, 1]; `seed` is the
    corpus's."""

    id: str
    domain: str
    speaker: str
    session: str
    emotion: str
    intensity: float
    arousal: float
    valence: float
    duration_s: float
    seed: int


@dataclass(frozen=True)
class Performance:
    """The hidden variables of an utterance's audio."""

    voice: Speaker
    course: score.Course
    syllables: list[score.Syllable]
    parameters: Parameters


def plan(
    domain: str,
    count: int,
    seed: int,
    *,
    speakers: int,
    emotions: Sequence[str] = EMOTIONS,
    duration_s: tuple[float, float] = (1.5, 3.0),
    neutral_fraction: float | None = None,
    name: str | None = None,
) -> list[Utterance]:
    """`count` utterances of a domain, turn by turn of its speakers.

    Ids, speakers and sessions begin with `name`, synth and the domain by default; corpora of other
    names have other people.

    Speakers are balanced; so are emotions within each speaker, unless `neutral_fraction` of the
    utterances shall be neutral (the others then share the rest). Durations are uniform in
    `duration_s`. Raises UsageError for emotions that cannot be acted.
    """
    _check_emotions(emotions, neutral_fraction)
    corpus = f"synth{domain}" if name is None else name
    return [
        _utterance(
            corpus, domain, index, seed, speakers, tuple(emotions), duration_s, neutral_fraction
        )
        for index in range(count)
    ]


def perform(utterance: Utterance) -> Performance:
    """The performance of an utterance, before the synthesis of its audio."""
    seed, name = utterance.seed, utterance.id
    random = generator(seed, name, "performance")
    who = speaker(seed, utterance.speaker, EXPRESSIVENESS[utterance.domain])
    shift = emotion.shift(utterance.emotion, utterance.intensity, random)
    frames = max(1, round(utterance.duration_s * voice.FRAME_RATE))
    times = np.arange(frames) / voice.FRAME_RATE
    sway = emotion.envelope(seed, name, "arousal", times)
    course = score.Course(who.rest + sway[:, None] * (who.gain * shift))
    language = LANGUAGES[utterance.domain]
    spoken = score.syllables(language, course, random)
    return Performance(who, course, spoken, score.parameters(spoken, language, who, course, random))


def render(utterance: Utterance) -> tuple[np.ndarray, int]:
    """The recording: (samples,) float32 within (-1, 1), and its sample rate in Hz.

    Its length is `duration_s` to the nearest 5 ms frame.
    """
    return record(utterance, perform(utterance))


def record(utterance: Utterance, performance: Performance) -> tuple[np.ndarray, int]:
    """As `render`, for a given performance."""
    random = generator(utterance.seed, utterance.id, "sound")
    dry = voice.synthesise(performance.parameters, random)
    recorder = channel.CHANNELS[utterance.domain]
    effort = float(performance.course.over("effort").mean())
    recording = channel.record(dry, recorder, utterance.seed, utterance.session, effort, random)
    return recording, recorder.sample_rate


def write(utterance: Utterance, folder: Path) -> Path:
    """Render into `folder`/wav/ID.wav (PCM, 16 bits, mono); the path relative to `folder`."""
    return write_samples(utterance, *render(utterance), folder)


def write_samples(utterance: Utterance, recording: np.ndarray, rate: int, folder: Path) -> Path:
    """As `write`, of (samples,) float32 that were rendered before."""
    samples = np.rint(recording * 32767).astype(np.int16)
    # In memory first, as the library does not report why a file cannot be written.
    whole = io.BytesIO()
    soundfile.write(whole, samples, rate, subtype="PCM_16", format="WAV")
    with whole_file(folder / path_of(utterance)) as temporary:
        temporary.write_bytes(whole.getvalue())
    return path_of(utterance)


def path_of(utterance: Utterance) -> Path:
    """Where `write` puts an utterance."""
    return Path("wav") / f"{utterance.id}.wav"


def trajectory(utterance: Utterance, rate_hz: float) -> np.ndarray:
    """Arousal and valence over time, (T, 2) float32 in [-1, 1], T = ceil(duration * rate_hz).

    The voice follows the course of arousal.
    """
    times = np.arange(int(np.ceil(round(utterance.duration_s * rate_hz, 6)))) / rate_hz
    means = {"arousal": utterance.arousal, "valence": utterance.valence}
    traces = [
        mean * emotion.envelope(utterance.seed, utterance.id, dimension, times)
        for dimension, mean in means.items()
    ]
    return np.clip(np.stack(traces, axis=1), -1, 1).astype(np.float32)


def write_traces(utterance: Utterance, folder: Path, rate_hz: float) -> Path:
    """Write `trajectory` to `folder`/traces/ID.csv: time (s), arousal, valence."""
    relative = traces_path(utterance)
    rows = (
        f"{row / rate_hz:.6g},{arousal:.4f},{valence:.4f}\n"
        for row, (arousal, valence) in enumerate(trajectory(utterance, rate_hz))
    )
    with whole_file(folder / relative) as temporary:
        temporary.write_text("time,arousal,valence\n" + "".join(rows), encoding="ascii")
    return relative


def traces_path(utterance: Utterance) -> Path:
    """The path at which `write_traces` writes an utterance's traces."""
    return Path("traces") / f"{utterance.id}.csv"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, which is created, that becomes `path` at the end.

    Faster than core's atomic writing, which lists the folder and waits for the disk each time:
    there are many files, and the manifest is written after all of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with writing(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def prosody(performance: Performance) -> Prosody:
    """The mean prosody of a performance, including the speaker's habits."""
    return Prosody(*performance.course.values.mean(axis=0).tolist())


def _utterance(
    corpus: str,
    domain: str,
    index: int,
    seed: int,
    speakers: int,
    emotions: tuple[str, ...],
    duration_s: tuple[float, float],
    neutral_fraction: float | None,
) -> Utterance:
    name = f"{corpus}_{index:06d}"
    turn, place = divmod(index, speakers)
    who = f"{corpus}_s{place:02d}"
    if neutral_fraction is None:
        felt = _rotate(emotions, turn, seed, who)
    else:
        felt = _mostly_neutral(emotions, turn, seed, who, neutral_fraction)
    random = generator(seed, name, "plan")
    intensity = float(random.uniform(*INTENSITY))
    arousal, valence = emotion.affect(felt, intensity, random)
    frames = round(float(random.uniform(*duration_s)) * voice.FRAME_RATE)
    return Utterance(
        id=name,
        domain=domain,
        speaker=who,
        session=f"{corpus}_d{place // SPEAKERS_PER_SESSION:02d}",
        emotion=felt,
        intensity=intensity,
        arousal=arousal,
        valence=valence,
        duration_s=frames / voice.FRAME_RATE,
        seed=seed,
    )


def _rotate(emotions: tuple[str, ...], turn: int, seed: int, who: str) -> str:
    """Each emotion once in every len(emotions) turns of a speaker, shuffled anew each time."""
    block, place = divmod(turn, len(emotions))
    order = generator(seed, who, "emotions", block).permutation(len(emotions))
    return emotions[int(order[place])]


def _mostly_neutral(
    emotions: tuple[str, ...], turn: int, seed: int, who: str, fraction: float
) -> str:
    """Neutral in `fraction` of a speaker's turns, evenly spread; the other emotions in rotation."""
    phase = float(generator(seed, who, "neutral").random())
    before, after = (int(np.floor(t * fraction + phase)) for t in (turn, turn + 1))
    others = tuple(e for e in emotions if e != "neutral")
    if after > before or not others:
        return "neutral"
    return _rotate(others, turn - before, seed, who)


def _check_emotions(emotions: Sequence[str], neutral_fraction: float | None) -> None:
    unknown = [e for e in emotions if e not in emotion.SHIFTS]
    if unknown:
        raise UsageError(f"unknown emotion {unknown[0]}: choose from {', '.join(ALL_EMOTIONS)}")
    if not emotions or len(set(emotions)) != len(emotions):
        raise UsageError("give at least one emotion, and each one once")
    if neutral_fraction and "neutral" not in emotions:
        raise UsageError("a neutral fraction needs neutral among the emotions")
