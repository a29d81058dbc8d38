"""Changes of waveforms, masks and mixtures, against naive computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from noisy import LENGTHS, Tones, sounds
from waves import generator

from avaffect.signal.sound import masks, mixing, rooms, speed
from avaffect.signal.sound.changes import changed
from avaffect.signal.sound.disturbances import VOICES, Disturbance


def decibels(signal: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(np.square(signal).sum() / np.square(other).sum())


def test_noise_reaches_its_ratio_whatever_the_padding() -> None:
    batch = sounds()
    for voices in ((1, 1), VOICES):
        recordings = Tones()
        found = changed(batch, [Disturbance(recordings, (7.0, 7.0), voices)], generator(3))
        for row, length in enumerate(LENGTHS):
            clean = batch.waveform[row, :length].numpy() / 32768
            noisy = found.waveform[row].double().numpy()
            assert not noisy[length:].any()
            if length:
                assert decibels(clean, noisy[:length] - clean) == pytest.approx(7.0, abs=0.1)
        assert [asked[:2] for asked in recordings.asked] == [
            (f"u{n}", length) for n, length in enumerate(LENGTHS) if length
        ]
        assert all(voices[0] <= asked[2] <= voices[1] for asked in recordings.asked)
        padded = changed(sounds(padding=900), [Disturbance(Tones(), (7.0, 7.0), voices)],
                         generator(3))  # fmt: skip
        assert torch.equal(padded.waveform, found.waveform)


def test_ratios_are_drawn_from_a_range_and_by_the_generator_alone() -> None:
    batch = sounds((3000,) * 40)
    change = [Disturbance(Tones(), (-5.0, 15.0))]
    found, again, other = (changed(batch, change, generator(s)).waveform for s in (1, 1, 2))
    assert torch.equal(found, again) and not torch.equal(found, other)
    clean = batch.waveform.double().numpy() / 32768
    ratios = [decibels(c, n - c) for c, n in zip(clean, found.double().numpy())]
    assert -5 <= min(ratios) < 0 < 10 < max(ratios) <= 15
    silent = replace(batch, streams={"waveform": torch.zeros(40, 3000, dtype=torch.int16)})
    assert not changed(silent, change, generator()).waveform.any()
    assert changed(batch, (), generator()) is batch


def test_rooms_convolve_and_keep_power_and_length() -> None:
    batch = sounds()
    recorded = np.random.default_rng(1).normal(0, 0.05, 700) * np.exp(-np.arange(700) / 90)
    recorded[40] = 1.0
    found = changed(batch, [rooms.Room((recorded,))], generator())
    assert torch.equal(found.lengths["waveform"], batch.lengths["waveform"])
    for row, length in enumerate(LENGTHS):
        clean = batch.waveform[row, :length].double().numpy() / 32768
        if length:
            wet = np.convolve(clean, recorded[40:])[:length]
            wet *= np.sqrt(np.square(clean).sum() / np.square(wet).sum())
            np.testing.assert_allclose(found.waveform[row, :length], wet, atol=1e-5)
    dry = changed(batch, [rooms.Room((np.array([0, 0, 16384], dtype=np.int16),))], generator())
    torch.testing.assert_close(dry.waveform[0], batch.waveform[0] / 32768)
    simulated = [changed(batch, [rooms.Room()], generator(seed)).waveform for seed in (0, 0, 1)]
    assert torch.equal(simulated[0], simulated[1])
    assert not torch.equal(simulated[0], simulated[2])


def test_simulated_responses_decay_as_they_say() -> None:
    response = rooms.simulated(0.5, 6.0, np.random.default_rng(0)).astype(np.float64)
    assert len(response) == 8000 and response[0] == 1.0
    assert decibels(response[:1], response[1:]) == pytest.approx(6.0, abs=0.01)
    # 0.1 s in 0.5 s is a fifth of 60 dB.
    parts = response[1:7996].reshape(5, -1)
    falls = [decibels(parts[n], parts[n + 1]) for n in range(4)]
    assert np.mean(falls) == pytest.approx(12.0, abs=0.7)


def test_speeds_change_lengths_and_pitch() -> None:
    times = np.arange(8000) / 16000
    tone = torch.from_numpy(np.sin(2 * np.pi * 400 * times)).float()
    for tenths, length in ((9, 8889), (10, 8000), (11, 7273)):
        found = speed.at_speed(tone, tenths)
        assert len(found) == length
        expected = np.sin(2 * np.pi * 40 * tenths * np.arange(length) / 16000)
        np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=5e-3)
    batch = sounds((4000,) * 30 + (1500,))
    found = changed(batch, [speed.perturbed], generator())
    assert set(found.lengths["waveform"][:30].tolist()) == {4445, 4000, 3637}
    assert found.lengths["waveform"][30] == 1500
    for row, length in enumerate(found.lengths["waveform"].tolist()):
        assert not found.waveform[row, length:].any() and found.waveform[row, length - 1] != 0


def test_masks_are_spans_within_each_utterance() -> None:
    lengths = torch.tensor([60, 25, 0, 9])
    values = torch.ones(4, 60, 40)
    hidden = masks.masked(values, lengths, generator(1)) == 0
    longer = masks.masked(torch.ones(4, 75, 40), lengths, generator(1)) == 0
    assert torch.equal(hidden, longer[:, :60])
    drawn = torch.rand(4, 4, 2, generator=generator(1), dtype=torch.float64).tolist()
    for row, length in enumerate(lengths.tolist()):
        expected = np.zeros((60, 40), dtype=bool)
        for number, (width, place) in enumerate(drawn[row]):
            size, most = (length, int(0.1 * length)) if number < 2 else (40, int(0.15 * 40))
            wide = int(width * (most + 1))
            start = int(place * (size - wide + 1))
            if number < 2:
                expected[start : start + wide] = True
            else:
                expected[:, start : start + wide] = True
        assert np.array_equal(hidden[row].numpy(), expected)
    many = masks.masked(torch.ones(300, 60, 40), torch.full((300,), 60), generator(2)) == 0
    times, bands = many.all(dim=2).sum(1), many.all(dim=1).sum(1)
    assert times.max() <= 12 and times.float().mean() == pytest.approx(5.8, abs=0.4)
    assert bands.max() <= 12 and bands.float().mean() == pytest.approx(5.6, abs=0.4)


def test_mixup_mixes_sound_and_labels_alike() -> None:
    lengths = (4000, 3000, 2000, 2500, 3500)
    batch = sounds(lengths)
    shares = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [np.nan] * 3, [0, 0.5, 0.5]])
    mixable = torch.tensor([True, True, True, False, True])
    found = mixing.mixed(batch, {"emotion": shares}, mixable, 0.8, generator(4))
    clean = torch.zeros(5, 4000)
    for row, length in enumerate(lengths):
        clean[row, :length] = batch.waveform[row, :length] / 32768
    random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator(4))))
    partners = dict(zip([0, 1, 2, 4], random.permutation([0, 1, 2, 4])))
    drawn = random.beta(0.8, 0.8, 5)
    for row, length in enumerate(lengths):
        own = max(drawn[row], 1 - drawn[row]) if row != 3 else 1.0
        other = partners.get(row, row)
        wave = own * clean[row] + (1 - own) * clean[other]
        wave[length:] = 0
        torch.testing.assert_close(found.waveform[row], wave, atol=1e-6, rtol=1e-5)
        expected = own * shares[row] + (1 - own) * shares[other]
        torch.testing.assert_close(found.labels["emotion"][row], expected.float(), equal_nan=True)
    assert torch.equal(found.waveform[3], clean[3])
    assert torch.equal(found.lengths["waveform"], batch.lengths["waveform"])
