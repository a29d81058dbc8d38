"""Measures of sound, fingerprints and their groups, association and outliers: against loops, SciPy,
known signals and real speech."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sounds import encode

from avaffect.data.decoding.audio import decode_audio
from avaffect.evaluation import balance, likeness, sound_quality
from avaffect.evaluation.sound_quality import MEASURES, fingerprint, measured

RATE = 16_000


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def of(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(MEASURES, measured(samples).tolist(), strict=True))


def int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def babbled(seed: int, seconds: float = 2.0) -> np.ndarray:
    """Noise whose bands come and go as those of syllables, float."""
    random = generator(seed)
    count = int(seconds * RATE)
    spectrum = np.fft.rfft(random.normal(size=count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    found = np.zeros(count)
    for low in range(100, 4000, 300):
        part = np.fft.irfft(np.where((hertz > low) & (hertz < low + 300), spectrum, 0), count)
        steps = random.random(int(seconds * 8) + 2)
        found += part * np.interp(np.arange(count) / RATE * 8, np.arange(len(steps)), steps)
    return 0.2 * found / np.abs(found).max()


def cramers_v(table: np.ndarray) -> float | None:
    row, column = np.nonzero(table)
    return balance.cramers_v(row, column, table[row, column])


def test_levels_of_a_tone_between_pauses() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    quiet = generator().normal(0, 10 ** (-50 / 20), RATE // 2)
    found = of(int16(np.concatenate([quiet, tone, quiet])))
    assert found["duration_s"] == 2.0
    assert found["peak_db"] == pytest.approx(20 * np.log10(0.5), abs=0.05)
    assert found["level_db"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.3)
    assert found["noise_db"] == pytest.approx(-50, abs=1)
    difference = found["level_db"] - found["noise_db"]
    assert found["snr_db"] == pytest.approx(difference, abs=1e-4)
    assert found["silence"] == pytest.approx(0.5, abs=0.02)
    assert found["offset"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("snr", [10, 20, 30])
def test_the_estimate_of_noise_follows_added_noise(snr: float) -> None:
    speech = np.concatenate([babbled(0), np.zeros(RATE)])
    power = np.mean(speech[: 2 * RATE] ** 2)
    noise = generator(1).normal(0, np.sqrt(power * 10 ** (-snr / 10)), len(speech))
    assert of(int16(speech + noise))["snr_db"] == pytest.approx(snr, abs=2.5)


def test_levels_of_windows_against_a_loop() -> None:
    samples = int16(babbled(2, 0.5))
    found = sound_quality.window_levels(samples)
    expected = [
        10 * np.log10(np.mean((samples[k : k + 400] / 32768.0) ** 2))
        for k in range(0, len(samples) - 399, 160)
    ]
    np.testing.assert_allclose(found, np.maximum(expected, -100), atol=1e-6)


def test_silent_short_and_empty_sound() -> None:
    silent = of(np.zeros(RATE, dtype=np.int16))
    assert (silent["silence"], silent["peak_db"], silent["level_db"]) == (1, -100, -100)
    assert fingerprint(np.zeros(RATE, dtype=np.int16)) is None
    short = of(int16(babbled(3, 0.01)))
    assert short["duration_s"] == pytest.approx(0.01) and np.isfinite([*short.values()]).all()
    empty = of(np.zeros(0, dtype=np.int16))
    assert empty["duration_s"] == 0 and np.isnan(empty["level_db"])
    assert fingerprint(int16(babbled(4, 0.5))) is None
    assert of(int16(babbled(4) + 0.1))["offset"] == pytest.approx(0.1, abs=1e-3)
    loudest = np.full(RATE, -32768, dtype=np.int16)
    assert of(loudest)["peak_db"] == pytest.approx(0)


def test_added_silence_changes_no_active_window() -> None:
    hiss = generator(17).normal(0, 10 ** (-53 / 20), RATE // 2)
    sound = int16(np.concatenate([4 * babbled(16), hiss, 4 * babbled(18)]))
    own = sound_quality.active_windows(sound_quality.window_levels(sound))
    longer = np.concatenate([sound, np.zeros(150 * RATE, np.int16)])
    found = sound_quality.active_windows(sound_quality.window_levels(longer))
    np.testing.assert_array_equal(found[: len(own)], own)
    assert 100 < own.sum() < len(own) - 30 and found[len(own) :].sum() <= 3


def bits(one: np.ndarray | None, other: np.ndarray | None) -> int:
    assert one is not None and other is not None
    return int(likeness.different(one[None], other[None])[0])


def test_fingerprints_of_copies_and_of_others(tmp_path: Path) -> None:
    sounds = [int16(babbled(seed)) for seed in range(5, 15)]
    prints = [fingerprint(sound) for sound in sounds]
    apart = [bits(a, b) for k, a in enumerate(prints) for b in prints[:k]]
    assert min(apart) > likeness.MOST_DIFFERENT
    for sound, own in zip(sounds[:3], prints):
        padded = np.concatenate([np.zeros(7000, np.int16), sound, np.zeros(3000, np.int16)])
        quiet = (sound * 0.3).astype(np.int16)
        path = encode(
            tmp_path / "a.mp3", "libmp3lame", RATE, samples=sound.astype("float32") / 2**15
        )
        buffer = io.BytesIO()
        decode_audio(path, buffer)
        lossy = np.frombuffer(buffer.getvalue(), dtype="<i2")
        for copy in (padded, quiet, lossy):
            assert bits(fingerprint(copy), own) <= likeness.MOST_DIFFERENT


def test_fingerprints_of_real_speech(recordings: Path) -> None:
    """Of ten sentences that ten people say, no two utterances are near-duplicates."""
    import soundfile

    files = sorted((recordings / "emodb").rglob("*.wav"))[:60]
    prints = [fingerprint(soundfile.read(file, dtype="int16")[0]) for file in files]
    known = np.array([one for one in prints if one is not None])
    assert len(known) == 60
    assert len(np.unique(likeness.alike(known))) == 60


def test_groups_against_every_pair() -> None:
    random = generator(3)
    found = random.integers(0, 256, (400, 32), dtype=np.uint8)
    for place in range(100):
        changed = np.unpackbits(found[random.integers(100, 400)])
        changed[random.choice(256, random.integers(0, 20), replace=False)] ^= 1
        found[place] = np.packbits(changed)
    groups = likeness.alike(found)
    for row in range(400):
        near = likeness.different(np.repeat(found[row : row + 1], 400, axis=0), found) <= 56
        np.testing.assert_array_equal(groups == groups[row], near)


def test_many_copies_are_one_group() -> None:
    found = np.repeat(generator(4).integers(0, 256, (2, 32), dtype=np.uint8), 1000, axis=0)
    groups = likeness.alike(found)
    assert len(np.unique(groups)) == 2 and groups[0] == groups[999] != groups[1000]
    assert len(likeness.alike(found[:0])) == 0 and len(likeness.alike(found[:1])) == 1


def test_cramers_v_against_scipy() -> None:
    table = generator(5).integers(1, 30, (3, 5)) + 20 * np.eye(3, 5, dtype=int)
    n, (r, c) = table.sum(), table.shape
    plain = stats.contingency.association(table, method="cramer") ** 2 * (min(r, c) - 1)
    corrected = max(0, plain - (r - 1) * (c - 1) / (n - 1))
    most = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    assert cramers_v(table) == pytest.approx(np.sqrt(corrected / most))
    assert cramers_v(np.eye(4) * 50) == pytest.approx(1, abs=0.01)
    # Rows and columns without counts do not count; one row is no association.
    wider = np.zeros((5, 6), dtype=int)
    wider[:3, :5] = table
    assert cramers_v(wider) == cramers_v(table)
    assert cramers_v(np.array([[3, 4, 5]])) is None


def test_independent_counts_have_no_association() -> None:
    random = generator(6)
    found = [
        cramers_v(random.multinomial(200, np.full(12, 1 / 12)).reshape(3, 4)) or 0
        for _ in range(200)
    ]
    assert np.median(found) < 0.05


def test_epsilon_squared_against_the_f_test() -> None:
    random = generator(7)
    groups = random.integers(0, 4, 90)
    values = random.normal(size=90) + 0.5 * groups
    f = stats.f_oneway(*(values[groups == k] for k in range(4))).statistic
    eta = 3 * f / (3 * f + 86)
    assert balance.epsilon_squared(values, groups) == pytest.approx(1 - (1 - eta) * 89 / 86)
    holes, unknown = values.copy(), groups.copy()
    holes[:5], unknown[5:9] = np.nan, -1
    assert balance.epsilon_squared(holes, unknown) == pytest.approx(
        balance.epsilon_squared(values[9:], groups[9:])
    )
    assert balance.epsilon_squared(values, np.zeros(90, dtype=int)) is None
    assert balance.epsilon_squared(np.ones(90), groups) is None
    assert balance.epsilon_squared(values, np.arange(90)) is None


def test_few_values_of_several_groups_share_nothing_by_chance() -> None:
    random = generator(11)
    found = [
        balance.epsilon_squared(random.normal(size=20), np.arange(20) % 5) or 0 for _ in range(200)
    ]
    assert np.median(found) < 0.05


def test_modified_z_against_a_loop() -> None:
    values = np.array([1.0, 2.0, 2.5, 3.0, 50.0, np.nan])
    median = 2.5
    spread = np.median([abs(v - median) for v in values[:5]])
    expected = [0.6745 * (v - median) / spread for v in values[:5]]
    np.testing.assert_allclose(balance.modified_z(values)[:5], expected)
    assert np.isnan(balance.modified_z(values)[5])
    # Where most are equal, by the mean deviation: (19 x 0 + 8) / 20.
    z = balance.modified_z(np.array([1.0] * 19 + [9.0]))
    assert z[:19].tolist() == [0] * 19 and z[19] == pytest.approx(8 / (1.253314 * 0.4))
    assert balance.modified_z(np.array([1.0, np.nan, 1.0]))[0] == 0
