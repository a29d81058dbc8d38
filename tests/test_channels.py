"""When channels cancel each other, and when they are ordinary stereo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases.sound import facts_of, surround
from cases.voices import speech

from avaffect.data.decoding.channels import Coherence, Verdict

RATE = 16000
S = speech(3.0)


def _verdict(*channels: np.ndarray, rate: int = RATE, block: int = 1024) -> Verdict:
    found = Coherence(np.full(len(channels), 1 / len(channels)), rate)
    whole = np.stack(channels).astype("float32")
    for start in range(0, whole.shape[1], block):
        found.look(whole[:, start : start + block])
    return found.verdict()


def _noise(snr_db: float, seed: int, samples: np.ndarray = S) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    return noise * samples.std() * 10 ** (-snr_db / 20)


@pytest.mark.parametrize("snr_db", [40, 10, 0, -3])
def test_an_inversion_beneath_noise_of_each_channel(snr_db: float) -> None:
    found = _verdict(S + _noise(snr_db, 1), -S + _noise(snr_db, 2))
    assert found.cancel and found.throughout


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate(rate: int) -> None:
    voice = speech(1.0, rate)
    assert _verdict(voice, -voice, rate=rate).cancel
    assert not _verdict(voice, voice, rate=rate).cancel
    assert not _verdict(voice, 0 * voice, rate=rate).cancel


@pytest.mark.parametrize("milliseconds", [0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0])
def test_microphones_apart_are_ordinary(milliseconds: float) -> None:
    late = round(milliseconds * RATE / 1000)
    other = 0.8 * np.concatenate([np.zeros(late), S[: len(S) - late]])
    assert not _verdict(S + _noise(20, 1), other + _noise(20, 2)).cancel


def test_parts_of_the_time_and_of_the_band() -> None:
    tenth = np.where(np.arange(len(S)) % RATE < 0.2 * RATE, -S, S)
    found = _verdict(S, tenth)
    assert found.cancel and not found.throughout
    spectrum, hertz = np.fft.rfft(S), np.fft.rfftfreq(len(S), 1 / RATE)
    band = np.fft.irfft(np.where((hertz > 500) & (hertz < 2500), -1, 1) * spectrum, len(S))
    found = _verdict(S, band)
    assert found.cancel and not found.throughout


def test_more_channels() -> None:
    assert _verdict(S, -S, S, -S).cancel
    assert not _verdict(S, S, S, -S).cancel
    assert not _verdict(S, 0 * S, 0 * S).cancel
    rows = [_noise(0, seed) for seed in range(8)]
    assert not _verdict(*rows).cancel


def test_short_empty_and_silent_sound() -> None:
    assert _verdict(S[8000:9000], -S[8000:9000]).cancel
    assert not _verdict(0 * S, 0 * S).cancel
    assert not Coherence(np.ones(2) / 2, RATE).verdict().cancel


def test_blocks_do_not_matter() -> None:
    other = -S + _noise(10, 1)
    whole = _verdict(S, other, block=1 << 20)
    for block in (7, 999, 16384):
        found = _verdict(S, other, block=block)
        np.testing.assert_allclose(found.energies, whole.energies)
        np.testing.assert_allclose(found.shares, whole.shares)


def test_of_a_long_recording_memory_and_work_are_bounded() -> None:
    found = Coherence(np.ones(2) / 2, RATE)
    block = np.stack([S, -S])
    for _ in range(40):
        found.look(block)
        assert found._count < 5 * found.length * 4
    assert found.verdict().cancel


@pytest.mark.parametrize("low", [0.0, 0.3])
def test_effects_are_left_out_however_loud(tmp_path: Path, low: float) -> None:
    """With soft speech in the centre: the low-frequency channel is what it says."""
    assert not facts_of(surround(tmp_path, "flac", "flac", low=low))["mixing"]
    assert (
        "low-frequency" in facts_of(surround(tmp_path, "flac", "flac", voice=3, low=low))["mixing"]
    )
