"""The encoder of Whisper: golden values, its own length and padded, windows, masks.

Golden values are those of transformers' WhisperEncoder and WhisperFeatureExtractor (5.23) with
generated weights, 50 positions: a window is a second. "own": 0.6 s with the first 30 positions
alone, not padded; "padded": the same, padded to the window.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import generator

from avaffect.core.batch import Batch
from avaffect.core.configuration import read
from avaffect.core.errors import UsageError
from avaffect.models.encoder import Frames, maskable
from avaffect.models.whisper import Whisper, WhisperConfiguration, sinusoids
from avaffect.signal.whisper import whisper_log_mel

GOLDEN = np.load(Path(__file__).parent / "golden" / "whisper_tiny_transformers.npz")
PUBLISHED = WhisperConfiguration()
TINY = replace(
    PUBLISHED,
    transformer=replace(PUBLISHED.transformer, layers=2, dim=64, ffn_dim=128, heads=4),
    positions=50,
)
WINDOW = 16000
KINDS = {"own": TINY, "padded": replace(TINY, padded=True)}
THEIRS = {"positions": "embed_positions.weight"}


def whisper(kind: str) -> Whisper:
    """With the golden weights; the mask embedding, which was not published, is drawn."""
    torch.manual_seed(0)
    model = Whisper(KINDS[kind]).eval()
    weights = {
        name: torch.from_numpy(
            generator.weight(THEIRS.get(name, name.removeprefix("encoder.")), tuple(value.shape))
        )
        for name, value in model.state_dict().items()
        if name != "mask_emb"
    }
    model.load_state_dict({**model.state_dict(), **weights})
    return model


def speech(*samples: int, seed: int = 1) -> Batch:
    """Utterances of these lengths, padded with noise that no result may depend on."""
    generator_ = torch.Generator().manual_seed(seed)
    waveform = torch.randint(-9000, 9000, (len(samples), max(samples)), generator=generator_)
    lengths = torch.tensor(samples)
    names = [str(index) for index in range(len(samples))]
    return Batch(names, {"waveform": waveform.to(torch.int16)}, {"waveform": lengths})


def alone(batch: Batch, row: int) -> Batch:
    samples = int(batch.lengths["waveform"][row])
    waveform = batch.streams["waveform"][row : row + 1, :samples]
    return Batch(["a"], {"waveform": waveform}, {"waveform": torch.tensor([samples])})


def golden_batch() -> Batch:
    wave = torch.from_numpy(generator.waveform(1, 9600))
    return Batch(["a"], {"waveform": wave}, {"waveform": torch.tensor([9600])})


def test_the_log_mel_spectrum_is_the_published_one():
    batch = golden_batch()
    found = whisper_log_mel(batch.streams["waveform"], batch.lengths["waveform"])[0, ::6]
    np.testing.assert_allclose(found.numpy(), GOLDEN["mel"], atol=1e-4, rtol=0)


def test_the_loudest_band_of_silence_is_its_own():
    waves = torch.stack([torch.zeros(1600), torch.linspace(-1, 1, 1600)])
    found = whisper_log_mel(waves, torch.tensor([1600, 800]))
    assert found.shape == (2, 10, 80)
    assert (found[0] == (-10.0 + 4.0) / 4.0).all()
    assert (found[1, 5:] == 0.0).all() and (found[1, :5] != 0.0).all()
    assert found[1, :5].max() - found[1, :5].min() <= 2.0


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_tiny_models_give_the_golden_values(kind):
    model, batch = whisper(kind), golden_batch()
    for name, layer in (("layer1", 1), ("last", None)):
        found = model(batch, layer=layer)
        assert found.lengths.tolist() == [30] == model.frame_count(batch.lengths).tolist()
        np.testing.assert_allclose(
            found.values[0, ::3].numpy(), GOLDEN[f"{kind}/{name}"], atol=1e-4, rtol=0
        )
    with pytest.raises(UsageError):
        model(batch, layer=3)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_and_batch_mates_never_change_frames(kind):
    model = whisper(kind)
    # The third and fourth are longer than a window, the last give no frame.
    batch = speech(9000, 15999, 3 * WINDOW + 170, 2 * WINDOW, 400, 399, 0)
    found = model(batch)
    assert found.lengths.tolist() == [28, 50, 151, 100, 1, 0, 0]
    for row in range(7):
        length = int(found.lengths[row])
        if length:
            expected = model(alone(batch, row)).values[0]
            assert len(expected) == length
            torch.testing.assert_close(found.values[row, :length], expected, atol=2e-5, rtol=0)
        assert not found.values[row, length:].any()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_utterances_without_a_frame(kind):
    found = whisper(kind)(speech(0, 100))
    assert found.lengths.tolist() == [0, 0]
    assert torch.isfinite(found.mean()).all()


@torch.no_grad()
def test_a_full_window_needs_no_padding():
    own, padded = whisper("own"), whisper("padded")
    batch = speech(WINDOW, WINDOW // 2)
    found, expected = own(batch).values, padded(batch).values
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=0)
    assert (found[1, :25] - expected[1, :25]).abs().max() > 1e-2


@torch.no_grad()
def test_long_utterances_are_seen_in_equal_windows():
    """2.2 windows: three of 37, 37 and 36 frames, each with positions from 0 on."""
    model = whisper("own")
    features = model.features(speech(2 * WINDOW + 3200))
    assert features.lengths.tolist() == [110]
    found = model.contextualise(features).values[0]
    for first, last in ((0, 37), (37, 74), (74, 110)):
        part = Frames(features.values[:, first:last], torch.tensor([last - first]))
        expected = model.contextualise(part).values[0]
        torch.testing.assert_close(found[first:last], expected, atol=1e-5, rtol=0)


def test_hidden_frames_are_replaced_before_their_positions():
    model = whisper("own")
    assert maskable(model) is model
    features = model.features(speech(9600))
    mask = torch.zeros(1, 30, dtype=torch.bool)
    mask[0, 10:15] = True
    hidden = torch.where(mask[..., None], 7.0, features.values)
    found = model.contextualise(Frames(hidden, features.lengths), mask).values
    torch.testing.assert_close(found, model.contextualise(features, mask).values)
    shown = torch.where(mask[..., None], model.mask_emb, features.values)
    expected = model.contextualise(Frames(shown, features.lengths)).values
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert model.mask_emb.grad is not None and model.mask_emb.grad.any()
    with pytest.raises(ValueError):
        whisper("padded").features(speech(9600))


def test_positions_are_kept_and_not_trained():
    model = Whisper(TINY)
    assert "positions" in model.state_dict()
    assert "positions" not in dict(model.named_parameters())
    torch.testing.assert_close(model.positions, sinusoids(50, 64))
    # The slowest wave of the published 10,000 wavelengths, and the fastest.
    assert sinusoids(3, 4)[2].tolist() == pytest.approx(
        [np.sin(2), np.sin(2e-4), np.cos(2), np.cos(2e-4)]
    )


def test_published_sizes():
    """Whisper tiny's encoder has 8,208,384 parameters with its positions, and here a mask."""
    with torch.device("meta"):
        model = Whisper(PUBLISHED)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters + model.positions.numel() == 8_208_384 + 384
    assert not any(name.endswith("k_proj.bias") for name in model.state_dict())


def test_configuration_survives_json():
    values = json.loads(json.dumps(asdict(KINDS["padded"])))
    assert read(WhisperConfiguration, values) == KINDS["padded"]
