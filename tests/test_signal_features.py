from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden import generator

from avaffect.signal import features

GOLDEN = np.load(Path(__file__).parent / "golden" / "audio_features.npz")


@pytest.fixture(scope="module")
def chirp() -> torch.Tensor:
    return torch.from_numpy(np.round(generator.waveform(1, 16000)[0] * 20000).astype(np.int16))


@pytest.mark.parametrize("samples", [16000, 10403, 300])
def test_log_filterbank_stacking_and_norm_give_the_golden_values(chirp, samples):
    energies = features.log_filterbank(chirp[:samples])
    stacked = features.stack_frames(energies)
    normalised = features.normalise_frames(stacked)
    for name, value in (("logfbank", energies), ("stack4", stacked), ("stack4_ln", normalised)):
        expected = GOLDEN[f"n{samples}/{name}"]
        assert value.shape == expected.shape
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-4)


def test_log_filterbank_of_silence_is_the_logarithm_of_the_smallest_step():
    energies = features.log_filterbank(torch.zeros(1600, dtype=torch.int16))
    np.testing.assert_allclose(energies.numpy(), GOLDEN["zeros/logfbank"], atol=1e-4)


def test_mfcc_gives_the_golden_values(chirp):
    np.testing.assert_allclose(features.mfcc(chirp), GOLDEN["n16000/mfcc39"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("function", [features.mfcc, features.log_mel, features.log_filterbank])
def test_int16_and_unit_floats_are_the_same_sound(chirp, function):
    torch.testing.assert_close(function(chirp), function(chirp.float() / 32768.0))


@pytest.mark.parametrize("function", [features.mfcc, features.log_mel])
@pytest.mark.parametrize("samples", [0, 1, 399, 400, 559, 560, 16000])
def test_frames_are_whole_windows(chirp, function, samples):
    frames = function(chirp[:samples])
    assert frames.shape[0] == features.window_count(samples)
    assert features.window_count(torch.tensor([samples])).tolist() == [frames.shape[0]]
    assert frames.isfinite().all()


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (400, 1), (401, 2), (561, 3)])
def test_log_filterbank_pads_its_last_window(chirp, samples, frames):
    assert features.log_filterbank(chirp[:samples]).shape == (frames, 26)


@pytest.mark.parametrize("function", [features.mfcc, features.log_mel, features.log_filterbank])
def test_silence_is_finite(function):
    assert function(torch.zeros(4000, dtype=torch.int16)).isfinite().all()


def test_log_mel_peaks_in_the_band_of_a_tone():
    time = torch.arange(16000) / 16000
    peaks = [
        features.log_mel(0.5 * torch.sin(2 * torch.pi * hertz * time)).mean(dim=0).argmax().item()
        for hertz in (200.0, 1000.0, 4000.0)
    ]
    highest = 2595 * np.log10(1 + 8000 / 700)
    expected = [2595 * np.log10(1 + hertz / 700) / highest * 81 - 1 for hertz in (200, 1000, 4000)]
    np.testing.assert_allclose(peaks, expected, atol=1.0)


def test_log_mel_of_rows_is_that_of_each_row(chirp):
    rows = chirp[:9600].reshape(2, 4800)
    batch = features.log_mel(rows)
    torch.testing.assert_close(batch[1], features.log_mel(rows[1]))
    assert batch.shape == (2, 28, 80)
