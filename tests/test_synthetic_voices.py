from __future__ import annotations

import hashlib
import time
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avaffect.core.errors import UsageError
from avaffect.settings.synth import DOMAINS, SynthSettings
from avaffect.synthetic import corpus, voice
from avaffect.synthetic.emotion import SHIFTS, Prosody
from avaffect.synthetic.score import Syllable

TWO_SECONDS = (2.0, 2.0)


def pitch_of(waveform: np.ndarray, rate: int) -> float:
    """Median over loud frames of the autocorrelation's peak between 60 and 500 Hz, in Hz."""
    size = round(0.04 * rate)
    frames = waveform[: len(waveform) // size * size].reshape(-1, size).astype(float)
    loud = frames[np.square(frames).sum(1) > 0.3 * np.square(frames).sum(1).max()]
    spectrum = np.fft.rfft(loud - loud.mean(1, keepdims=True), 2 * size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, : rate // 60]
    return float(np.median(rate / (rate // 500 + correlation[:, rate // 500 :].argmax(1))))


def brightness_of(waveform: np.ndarray, rate: int) -> float:
    """Energy between 1.5 and 4 kHz over that below 1 kHz, in dB."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / rate)
    high = power[(hertz > 1500) & (hertz < 4000)].sum()
    return float(10 * np.log10(high / power[hertz < 1000].sum()))


def syllable_rate(syllables: list[Syllable]) -> float:
    return len(syllables) / sum(s.seconds for s in syllables)


@pytest.fixture(scope="module")
def voices() -> list[dict]:
    """What is heard and meant in 96 recordings of 8 speakers."""
    measured = []
    for utterance in corpus.plan("A", 96, 3, speakers=8, duration_s=TWO_SECONDS):
        waveform, rate = corpus.render(utterance)
        performance = corpus.perform(utterance)
        loud = performance.parameters.voicing > 0.5
        semitones = 12 * np.log2(performance.parameters.pitch[loud])
        measured.append(
            {
                "speaker": utterance.speaker,
                "emotion": utterance.emotion,
                "pitch": 12 * np.log2(pitch_of(waveform, rate)),
                "true pitch": np.median(semitones),
                "brightness": brightness_of(waveform, rate),
                "effort": corpus.prosody(performance).effort,
                "level": 10 * np.log10(np.mean(waveform**2)),
                "rate": syllable_rate(performance.syllables),
                "spread": np.std(semitones),
            }
        )
    return measured


def mean_of(voices: list[dict], emotion: str, quantity: str) -> float:
    return float(np.mean([v[quantity] for v in voices if v["emotion"] == emotion]))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def digests(seed: int, folder: str) -> list[str]:
        paths = [
            tmp_path / folder / corpus.write(utterance, tmp_path / folder)
            for domain in DOMAINS
            for utterance in corpus.plan(domain, 2, seed, speakers=2, duration_s=(0.5, 1.0))
        ]
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    first = digests(0, "first")
    assert first == digests(0, "again")
    assert not set(first) & set(digests(1, "other"))


def test_an_utterance_does_not_depend_on_how_many_there_are_or_on_the_order():
    few = corpus.plan("B", 3, 5, speakers=7, neutral_fraction=0.7)
    many = corpus.plan("B", 40, 5, speakers=7, neutral_fraction=0.7)
    assert many[:3] == few
    alone = corpus.render(few[2])[0]
    for utterance in few:
        again = corpus.render(utterance)[0]
    np.testing.assert_array_equal(alone, again)


def test_ids_are_unique_and_domains_share_no_speaker_session_or_voice():
    plans = {d: corpus.plan(d, 60, 0, speakers=6) for d in DOMAINS}
    utterances = [u for plan in plans.values() for u in plan]
    assert len({u.id for u in utterances}) == len(utterances)
    for name in ("speaker", "session"):
        of_domain = [{getattr(u, name) for u in plan} for plan in plans.values()]
        assert len(set.union(*of_domain)) == sum(map(len, of_domain))
    voices = {corpus.perform(u).voice.pitch_hz for u in utterances}
    assert len(voices) == 18
    assert plans["A"][12].id == "synthA_000012"
    assert plans["A"][3].speaker == "synthA_s03"


def test_corpora_of_other_names_share_no_id_speaker_session_or_voice():
    plans = [corpus.plan("A", 12, 0, speakers=6, name=name) for name in (None, "others", "synthA")]
    assert plans[0] == plans[2]
    utterances = plans[0] + plans[1]
    for field, count in (("id", 24), ("speaker", 12), ("session", 6)):
        assert len({getattr(u, field) for u in utterances}) == count
    assert len({corpus.perform(u).voice.pitch_hz for u in utterances}) == 12
    assert plans[1][7].speaker == "others_s01"


def test_a_session_holds_whole_speakers():
    plan = corpus.plan("A", 64, 0, speakers=5)
    sessions = {(u.speaker, u.session) for u in plan}
    assert len(sessions) == 5
    assert Counter(session for _, session in sessions) == {
        "synthA_d00": 2, "synthA_d01": 2, "synthA_d02": 1,
    }  # fmt: skip


def test_emotions_are_balanced_within_each_speaker():
    plan = corpus.plan("A", 96, 0, speakers=8)
    assert set(Counter((u.speaker, u.emotion) for u in plan).values()) == {3}
    assert len({(u.speaker, u.emotion) for u in plan}) == 32


def test_a_pool_is_mostly_neutral_and_every_speaker_shows_other_emotions_too():
    plan = corpus.plan("B", 1000, 0, speakers=20, neutral_fraction=0.7)
    counts = Counter(u.emotion for u in plan)
    assert counts["neutral"] == pytest.approx(700, abs=20)
    assert all(counts[e] == pytest.approx(100, abs=20) for e in ("anger", "happiness", "sadness"))
    for name in {u.speaker for u in plan}:
        assert {u.emotion for u in plan if u.speaker == name} == set(corpus.EMOTIONS)


@pytest.mark.parametrize(("fraction", "neutral"), [(0.0, 0), (1.0, 30)])
def test_the_neutral_fraction_reaches_its_ends(fraction, neutral):
    plan = corpus.plan("B", 30, 0, speakers=3, neutral_fraction=fraction)
    assert sum(u.emotion == "neutral" for u in plan) == neutral


def test_the_recording_has_the_pitch_that_was_performed(voices):
    heard = np.array([v["pitch"] for v in voices])
    meant = np.array([v["true pitch"] for v in voices])
    assert np.median(np.abs(heard - meant)) < 1.0
    assert np.corrcoef(heard, meant)[0, 1] > 0.9


def test_emotions_move_pitch_energy_and_rate_as_documented(voices):
    for quantity, order in {
        "pitch": ("sadness", "neutral", "happiness"),
        "spread": ("sadness", "neutral", "happiness"),
        "rate": ("sadness", "neutral", "anger"),
        "effort": ("sadness", "neutral", "anger"),
        "brightness": ("sadness", "neutral", "anger"),
    }.items():
        means = [mean_of(voices, emotion, quantity) for emotion in order]
        assert means == sorted(means), quantity
    assert mean_of(voices, "anger", "pitch") > mean_of(voices, "neutral", "pitch") + 1
    assert mean_of(voices, "anger", "rate") > 1.25 * mean_of(voices, "sadness", "rate")


def test_level_tells_less_than_effort_does(voices):
    gap = {
        quantity: mean_of(voices, "anger", quantity) - mean_of(voices, "sadness", quantity)
        for quantity in ("effort", "level")
    }
    assert gap["effort"] > 5
    assert gap["level"] < 0.6 * gap["effort"]


def test_the_speaker_outweighs_the_emotion_in_mean_pitch(voices):
    of_speaker = [
        np.mean([v["pitch"] for v in voices if v["speaker"] == name])
        for name in {v["speaker"] for v in voices}
    ]
    of_emotion = [mean_of(voices, emotion, "pitch") for emotion in corpus.EMOTIONS]
    assert np.std(of_speaker) > np.std(of_emotion)


@pytest.mark.parametrize("domain", DOMAINS)
@settings(max_examples=15, deadline=None)
@given(duration=st.floats(0.3, 6.0), seed=st.integers(0, 1000))
def test_any_duration_gives_finite_sound_below_full_scale(domain, duration, seed):
    (utterance,) = corpus.plan(domain, 1, seed, speakers=1, duration_s=(duration, duration))
    waveform, rate = corpus.render(utterance)
    assert waveform.dtype == np.float32
    assert len(waveform) == pytest.approx(duration * rate, abs=0.006 * rate)
    assert len(waveform) == pytest.approx(utterance.duration_s * rate, abs=1)
    assert np.isfinite(waveform).all()
    assert 0.02 < np.abs(waveform).max() < 0.96
    syllables = corpus.perform(utterance).syllables
    assert syllables[-1].start_s + syllables[-1].seconds <= duration
    assert syllables[-1].final


def test_written_files_are_pcm_at_the_rate_of_their_domain(tmp_path):
    rates = {}
    for domain in DOMAINS:
        (utterance,) = corpus.plan(domain, 1, 0, speakers=1, duration_s=(0.5, 0.5))
        relative = corpus.write(utterance, tmp_path)
        assert relative.as_posix() == f"wav/{utterance.id}.wav"
        facts = soundfile.info(tmp_path / relative)
        assert (facts.subtype, facts.channels) == ("PCM_16", 1)
        samples, rates[domain] = soundfile.read(tmp_path / relative, dtype="float32")
        waveform, rate = corpus.render(utterance)
        assert rate == rates[domain]
        np.testing.assert_allclose(samples, waveform, atol=1 / 16000)
    assert len(set(rates.values())) == 3


@pytest.mark.parametrize("felt", corpus.ALL_EMOTIONS)
def test_every_emotion_can_be_voiced_and_lies_in_its_quadrant(felt):
    plan = corpus.plan("A", 12, 0, speakers=3, emotions=(felt,), duration_s=(0.6, 0.6))
    assert np.abs(corpus.render(plan[0])[0]).max() > 0
    arousal, valence = np.mean([(u.arousal, u.valence) for u in plan], axis=0)
    if felt == "neutral":
        assert abs(arousal) < 0.1 and abs(valence) < 0.1
    else:
        assert (valence > 0) == (felt in ("happiness", "surprise"))
        assert (arousal > 0) == (felt not in ("sadness", "boredom"))


def test_trajectories_sway_around_the_scalars():
    (utterance,) = corpus.plan("A", 1, 1, speakers=1, emotions=("anger",), duration_s=(60, 60))
    traces = corpus.trajectory(utterance, 25.0)
    assert traces.shape == (1500, 2)
    means = traces.mean(axis=0)
    np.testing.assert_allclose(means, [utterance.arousal, utterance.valence], atol=0.05)
    assert (traces.std(axis=0) > 0.02).all()
    assert np.abs(np.diff(traces, axis=0)).max() < 0.1
    halved = corpus.trajectory(utterance, 12.5)
    np.testing.assert_allclose(halved, traces[::2], atol=1e-6)


def test_the_voice_follows_the_arousal_trace():
    (utterance,) = corpus.plan("A", 1, 1, speakers=1, emotions=("sadness",), duration_s=(30, 30))
    arousal = corpus.trajectory(utterance, voice.FRAME_RATE)[:, 0]
    rate = corpus.perform(utterance).course.over("rate")
    assert np.corrcoef(arousal, rate)[0, 1] > 0.99


def test_pulses_come_at_the_pitch_that_was_asked_for():
    plan = corpus.plan("A", 1, 0, speakers=1, duration_s=TWO_SECONDS)
    parameters = corpus.perform(plan[0]).parameters
    times = voice.pulse_times(parameters, np.random.default_rng(0))
    assert len(times) == pytest.approx(parameters.pitch.mean() * 2.0, abs=2)


def test_a_resonator_rings_at_its_frequency_and_bandwidth():
    denominators = voice.resonators(np.array([[1000.0]]), np.array([[100.0]]))
    gain = 1 / np.abs(np.fft.rfft(denominators[0], 16000))
    assert gain[0] == pytest.approx(1.0)
    assert gain.argmax() == pytest.approx(1000, abs=5)
    above_half_power = np.flatnonzero(gain > gain.max() / np.sqrt(2))
    assert np.ptp(above_half_power) == pytest.approx(100, abs=3)


def test_rendering_is_many_times_faster_than_real_time():
    (utterance,) = corpus.plan("A", 1, 0, speakers=1, duration_s=(10.0, 10.0))
    corpus.render(utterance)
    start = time.process_time()
    corpus.render(utterance)
    # Measured above 100; a busy machine may be slower, a per-sample loop would be under 1.
    assert time.process_time() - start < 10.0 / 15


def test_every_emotion_but_neutral_shifts_prosody_and_none_like_another():
    assert SHIFTS["neutral"] == Prosody()
    assert len(set(SHIFTS.values())) == len(SHIFTS)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"emotions": ("joy",)}, "joy"),
        ({"emotions": ("anger", "anger")}, "once"),
        ({"emotions": ()}, "at least one"),
        ({"emotions": ("anger",), "neutral_fraction": 0.5}, "needs neutral"),
    ],
)
def test_what_cannot_be_made_is_refused(changed, word):
    wanted = {"domain": "A", "count": 4, "seed": 0, "speakers": 2, **changed}
    with pytest.raises(UsageError, match=word):
        corpus.plan(wanted.pop("domain"), wanted.pop("count"), wanted.pop("seed"), **wanted)


def test_the_shorter_duration_comes_first(tmp_path):
    with pytest.raises(UsageError, match="--shortest 2"):
        SynthSettings(folder=tmp_path, shortest=2.0, longest=1.0)
    SynthSettings(folder=tmp_path, shortest=2.0, longest=2.0)
