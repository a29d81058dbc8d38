"""Pitch, voicing, energy and zero crossings; the acoustic targets of whole batches."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import soundfile
import torch
from waves import generator, noise_batch

from avaffect.signal.acoustic_targets import SIZES, acoustic_targets
from avaffect.signal.features import log_mel, mfcc
from avaffect.signal.prosody import HIGHEST_HZ, LOWEST_HZ, PROSODY, VOICED, pitch, prosody

TIMES = torch.arange(16000) / 16000
NOTHING_VOICED = math.log((LOWEST_HZ * HIGHEST_HZ) ** 0.5)


def whole(waveform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return waveform[None], torch.tensor([len(waveform)])


def harmonics(hertz: torch.Tensor | float, timbre: float = 1.0) -> torch.Tensor:
    """A sound of so many periods a second, at each sample; its overtones fall off as 1 / k."""
    phase = torch.cumsum(torch.as_tensor(hertz).expand(16000).double() / 16000, dim=0)
    top = int(7000 / float(torch.as_tensor(hertz).max()))
    tones = [torch.sin(2 * math.pi * k * phase) / k**timbre for k in range(1, top + 1)]
    return (0.2 * sum(tones)).float()


@pytest.mark.parametrize("hertz", [80.0, 100.0, 150.0, 221.7, 333.3, 440.0, 590.0])
@pytest.mark.parametrize("rich", [False, True])
def test_the_pitch_of_a_tone(hertz, rich):
    wave = harmonics(hertz) if rich else 0.3 * torch.sin(2 * math.pi * hertz * TIMES)
    log_f0, voicing = pitch(*whole(wave))
    assert log_f0.shape == voicing.shape == (1, 98)
    np.testing.assert_allclose(log_f0.exp(), hertz, rtol=0.003)
    assert voicing.min() > 0.8


def test_a_missing_fundamental_and_noise_change_nothing():
    phase = 2 * math.pi * 150 * TIMES
    wave = 0.1 * sum(torch.sin(k * phase) for k in range(2, 8))
    wave = wave + 0.05 * torch.randn(16000, generator=generator())
    log_f0, voicing = pitch(*whole(wave))
    np.testing.assert_allclose(log_f0.exp(), 150.0, rtol=0.01)
    assert voicing.min() > VOICED


def test_a_glide_is_followed():
    hertz = 120 + 130 * TIMES
    log_f0, _ = pitch(*whole(harmonics(hertz)))
    middles = torch.arange(98) * 160 + 200
    # The edges hold: half of their long windows is silence.
    np.testing.assert_allclose(log_f0[0].exp()[3:-3], hertz[middles][3:-3], rtol=0.02)


def test_lines_between_voices():
    """100 Hz, a silence, 200 Hz, hiss: a straight line on the logarithm, then the last pitch."""
    hiss = 0.1 * torch.randn(4000, generator=generator())
    wave = torch.cat([harmonics(100.0)[:6400], torch.zeros(3200), harmonics(200.0)[:6400], hiss])
    log_f0, voicing = pitch(*whole(wave))
    voiced = voicing[0] >= VOICED
    assert voiced[:36].all()
    assert not voiced[44:56].any()
    assert voiced[63:96].all()
    assert not voiced[102:].any()
    between = log_f0[0, 44:56]
    torch.testing.assert_close(between.diff(), between.diff().mean().expand(11), atol=1e-4, rtol=0)
    assert math.log(100) < between[0] < between[-1] < math.log(200)
    np.testing.assert_allclose(log_f0[0, 102:].exp(), 200.0, rtol=0.01)


@pytest.mark.parametrize("kind", ["noise", "silence", "constant", "rounding"])
def test_what_has_no_pitch(kind):
    wave = {
        "noise": 0.1 * torch.randn(16000, generator=generator()),
        "silence": torch.zeros(16000),
        "constant": torch.full((16000,), 0.3),
        "rounding": torch.randint(-1, 2, (16000,), generator=generator()) / 32768,
    }[kind]
    found = prosody(*whole(wave))[0]
    assert found.isfinite().all()
    assert found[:, 1].max() < VOICED
    torch.testing.assert_close(found[:, 0], torch.full((98,), NOTHING_VOICED))
    if kind in ("silence", "constant"):
        assert not found[:, 3].any()
    if kind == "silence":
        assert not found[:, 1:].any()


def test_energy_and_zero_crossings_by_hand():
    assert PROSODY == ("log_f0", "voicing", "log_energy", "zero_crossings")
    # 400 Hz: 10 whole periods in a window, 20 crossings of the mean; a mean beside 0 plays no part.
    wave = 0.25 * torch.sin(2 * math.pi * 400 * TIMES + 1.0) + 0.1
    found = prosody(*whole(wave))[0]
    expected = math.log(32768**2 * (0.25**2 / 2 + 0.1**2))
    np.testing.assert_allclose(found[:, 2], expected, atol=1e-3)
    np.testing.assert_allclose(found[:, 3] * 399, 20, atol=1e-3)
    int16 = (wave * 32768).round().to(torch.int16)
    torch.testing.assert_close(prosody(*whole(int16))[0], found, atol=1e-3, rtol=0)


def test_people(recordings):
    """Neutral sentences of EmoDB: medians of men lie below those of women, as everywhere."""
    medians = defaultdict(list)
    for path in sorted((recordings / "emodb").glob("*[ab]??N?.wav")):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000
        log_f0, voicing = pitch(*whole(torch.from_numpy(samples)))
        voiced = voicing[0] >= VOICED
        assert 0.3 < voiced.float().mean() < 0.9
        medians[path.name[:2]].append(float(log_f0[0][voiced].exp().median()))
    means = {speaker: np.mean(values) for speaker, values in medians.items()}
    men, women = ("03", "10", "11", "12", "15"), ("08", "09", "13", "14", "16")
    assert all(90 < means[speaker] < 150 for speaker in men)
    assert all(155 < means[speaker] < 230 for speaker in women)


def test_anger_is_higher(recordings):
    """The same sentence by the same man, neutral and angry."""
    found = []
    for name in ("03a01Nc", "03a01Wa"):
        samples, _ = soundfile.read(recordings / "emodb" / f"{name}.wav", dtype="int16")
        rows = prosody(*whole(torch.from_numpy(samples)))[0]
        found.append(rows[rows[:, 1] >= VOICED].mean(dim=0))
    assert found[1][0] - found[0][0] > math.log(1.3)


# -- targets of batches ---------------------------------------------------------------------------


def test_targets_are_those_of_each_utterance():
    batch = noise_batch(9000, 5003, 400, 399, 0)
    lengths = batch.lengths["waveform"]
    together = acoustic_targets(batch.waveform, lengths)
    assert {name: values.shape for name, values in together.items()} == {
        name: (5, 54, size) for name, size in SIZES.items()
    }
    for row, (length, windows) in enumerate(zip(lengths.tolist(), (54, 29, 1, 0, 0))):
        wave = batch.waveform[row : row + 1, :length]
        alone = acoustic_targets(wave, torch.tensor([length]))
        for name, values in together.items():
            torch.testing.assert_close(values[row, :windows], alone[name][0, :windows])
            assert not values[row, windows:].any()
        torch.testing.assert_close(together["mfcc"][row, :windows], mfcc(wave[0]))
        torch.testing.assert_close(together["fbank"][row, :windows], log_mel(wave[0], 40))
        torch.testing.assert_close(
            together["prosody"][row, :windows], prosody(wave, torch.tensor([length]))[0, :windows]
        )


def test_the_power_spectrum_of_a_tone():
    """1 kHz lies on bin 32 of 512 at 16 kHz: the window's sum, squared, at half its amplitude."""
    wave = 0.5 * torch.sin(2 * math.pi * 1000 * TIMES)
    spectrum = acoustic_targets(*whole(wave), ["lps"])["lps"][0]
    assert (spectrum.argmax(dim=1) == 32).all()
    expected = 2 * math.log(0.5 * 32768 * 200 / 2)
    np.testing.assert_allclose(spectrum[:, 32], expected, atol=1e-3)


def test_silence_gives_numbers_and_names_are_checked():
    silent = torch.zeros(2, 8000, dtype=torch.int16), torch.tensor([8000, 900])
    assert all(values.isfinite().all() for values in acoustic_targets(*silent).values())
    assert acoustic_targets(*silent, ["fbank"]).keys() == {"fbank"}
    with pytest.raises(ValueError, match="plp"):
        acoustic_targets(*silent, ["plp"])
