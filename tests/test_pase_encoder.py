"""PASE's encoder: learned band-pass filters, a norm that knows padding, frames."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from small_encoders import check_padding
from torch import nn
from waves import TINY_PASE, generator, noise_batch, wave_batch

from avaffect.core.errors import UsageError
from avaffect.models import registry
from avaffect.models.pase import PRESETS, PaseConfiguration, PaseEncoder
from avaffect.models.sinc import SincFilters
from avaffect.models.valid_norm import ValidBatchNorm


@pytest.fixture
def encoder() -> PaseEncoder:
    torch.manual_seed(0)
    return PaseEncoder(TINY_PASE)


# -- filters --------------------------------------------------------------------------------------


def test_filters_pass_their_band_alone():
    """Against the ideal: 1 within the band, 0 outside, but for the window's slopes."""
    filters = SincFilters(3, 1001)
    low, high = torch.tensor([300.0, 1000.0, 4000.0]), torch.tensor([700.0, 1600.0, 6500.0])
    with torch.no_grad():
        filters.low.copy_((low - 50) / 16000)
        filters.band.copy_(-(high - low - 50) / 16000)  # its sign means nothing
        response = torch.fft.rfft(filters(), n=16000).abs()
    edges = torch.stack(filters.edges()) * 16000
    torch.testing.assert_close(edges, torch.stack([low, high]), atol=0.01, rtol=0)
    hertz = torch.arange(8001)[None]
    inside = (hertz > low[:, None] + 60) & (hertz < high[:, None] - 60)
    outside = (hertz < low[:, None] - 60) | (hertz > high[:, None] + 60)
    assert (response[inside] - 1).abs().max() < 0.01
    assert response[outside].max() < 0.01


def test_filters_by_the_formula():
    filters = SincFilters(2, 5)
    with torch.no_grad():
        filters.low.copy_(torch.tensor([0.0, -0.1]))
        filters.band.copy_(torch.tensor([0.1, 9.0]))
        found = filters()
    first, least = 50 / 16000, 50 / 16000
    for row, (low, high) in enumerate([(first, first + least + 0.1), (first + 0.1, 0.5)]):
        for n in range(-2, 3):
            ideal = 2 * (high - low) if n == 0 else (
                math.sin(2 * math.pi * high * n) - math.sin(2 * math.pi * low * n)
            ) / (math.pi * n)  # fmt: skip
            window = 0.54 + 0.46 * math.cos(math.pi * n / 2)
            assert float(found[row, n + 2]) == pytest.approx(ideal * window, abs=1e-6)


def test_new_filters_lie_side_by_side():
    low, high = (edge.detach() * 16000 for edge in SincFilters(64, 251).edges())
    mel = 2595 * torch.log10(1 + low / 700)
    step = float(mel[-1] - mel[-2])
    torch.testing.assert_close(mel[1:].diff(), torch.full((62,), step), rtol=1e-3, atol=0)
    assert float(low[0]) == pytest.approx(51.0)
    assert float(high[-1]) == pytest.approx(7950.0, abs=0.1)
    # As wide as the scale has it, but never narrower than 50 Hz.
    assert (high - low)[:5].tolist() == pytest.approx([51.0] * 5, abs=0.01)
    torch.testing.assert_close(high[20:-1], low[21:], atol=0.1, rtol=0)
    with pytest.raises(ValueError, match="odd"):
        SincFilters(4, 250)
    filters = SincFilters(4, 251)
    filters().square().sum().backward()
    assert filters.low.grad.all()
    assert filters.band.grad.all()


# -- the norm -------------------------------------------------------------------------------------


@pytest.mark.parametrize("affine", [True, False])
def test_the_norm_is_that_of_the_valid_steps(affine):
    torch.manual_seed(0)
    norm, torchs = ValidBatchNorm(3, affine), nn.BatchNorm1d(3, affine=affine)
    if affine:
        for own, other in zip(norm.parameters(), torchs.parameters()):
            nn.init.normal_(own)
            other.data.copy_(own)
    lengths = torch.tensor([7, 0, 4])
    valid = torch.arange(9) < lengths[:, None]
    x = torch.randn(3, 3, 9, requires_grad=True)
    packed = x.transpose(1, 2)[valid].detach().requires_grad_()
    weights = torch.randn(11, 3)
    found = norm(x, lengths).transpose(1, 2)[valid]
    expected = torchs(packed)
    torch.testing.assert_close(found, expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad.transpose(1, 2)[valid], packed.grad, atol=1e-6, rtol=1e-4)
    assert not x.grad.transpose(1, 2)[~valid].any()


def test_the_first_batches_count_alike():
    norm = ValidBatchNorm(1, affine=False)
    for number in range(1, 5):
        norm(torch.randn(1, 1, 50) + number, torch.tensor([50]))
    assert float(norm.mean) == pytest.approx(2.5, abs=0.3)
    for _ in range(60):
        norm(torch.randn(1, 1, 50) + 9, torch.tensor([50]))
    assert float(norm.mean) == pytest.approx(9, abs=0.3)
    assert int(norm.batches) == 64
    before = norm.mean.clone()
    norm.eval()(torch.ones(1, 1, 50), torch.tensor([50]))
    norm.train()(torch.ones(1, 1, 50), torch.tensor([0]))
    assert norm.mean == before


# -- the encoder ----------------------------------------------------------------------------------


def test_the_published_size():
    with torch.device("meta"):
        model = PaseEncoder(PRESETS["base"])
    sizes = ((64, 64, 20), (64, 128, 11), (128, 128, 11), (128, 256, 11), (256, 256, 11),
             (256, 512, 11), (512, 512, 11))  # fmt: skip
    blocks = sum(inputs * outputs * kernel + 3 * outputs for inputs, outputs, kernel in sizes)
    assert sum(p.numel() for p in model.parameters()) == 2 * 64 + blocks + 512 * 100
    assert model.configuration.seen == 2370
    assert registry.build(registry.describe(model)).configuration == PRESETS["base"]
    assert sum(p.numel() for p in PaseEncoder(PRESETS["nano"]).parameters()) < 1e6
    with pytest.raises(ValueError, match="80 samples together"):
        PaseConfiguration(blocks=((64, 20, 10), (128, 11, 8)))


@torch.no_grad()
def test_one_filter_stands_for_two(encoder):
    """The filters at every sample, then the first convolution: what the paper describes."""
    waveform = torch.randn(2, 1, 700, generator=generator())
    bands = F.conv1d(waveform, encoder.filters()[:, None])
    expected = F.conv1d(bands, encoder.convolutions[0], stride=10)
    found = F.conv1d(waveform, encoder.first_filter(), stride=10)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_padding_and_batch_mates_never_change_frames(encoder):
    encoder(noise_batch(4000, 9000))  # running statistics that are not those of a new norm
    batch = noise_batch(9000, 16000, 3217, 400, 399, 0)
    check_padding(encoder.eval(), batch, [54, 98, 18, 1, 0, 0], rtol=1e-4)


@torch.no_grad()
def test_padding_takes_no_part_in_training(encoder):
    batch = noise_batch(4000, 9000)
    expected = encoder(batch).values
    wider = wave_batch(F.pad(batch.waveform, (0, 5000), value=3000), batch.lengths["waveform"])
    wider.ids.append("nobody")
    for name, values in wider.streams.items():
        wider.streams[name] = torch.cat([values, values[:1]])
    wider.lengths["waveform"] = torch.cat([batch.lengths["waveform"], torch.zeros(1).long()])
    found = encoder(wider).values
    torch.testing.assert_close(found[:2, : expected.shape[1]], expected, atol=1e-4, rtol=1e-3)
    # The last norm: mean 0 and variance 1 over the valid frames, which are no padding.
    rows = encoder(batch)
    known = rows.values[rows.valid]
    torch.testing.assert_close(known.mean(dim=0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(known.var(dim=0, correction=0), torch.ones(6), atol=1e-2, rtol=0)


@torch.no_grad()
def test_a_frame_stands_in_the_middle_of_its_window(encoder):
    """What it sees begins and ends equally far from the 25 ms of the window."""
    encoder.eval()
    around = TINY_PASE.seen - 400
    batch = noise_batch(16000)
    before = encoder(batch).values[0, 40]
    for sample, seen in (
        (40 * 160 - around // 2 - 1, False), (40 * 160 - around // 2, True),
        (40 * 160 + 399 + around - around // 2, True),
        (40 * 160 + 400 + around - around // 2, False),
    ):  # fmt: skip
        batch.streams["waveform"] = noise_batch(16000).waveform
        batch.streams["waveform"][0, sample] += 20000
        assert bool((encoder(batch).values[0, 40] != before).any()) == seen


def test_layers_and_what_it_cannot_hide(encoder):
    encoder.eval()
    batch = noise_batch(8000)
    local = encoder.features(batch)
    assert local.values.shape == (1, 48, 8)
    with torch.no_grad():
        encoder.norm.mean.fill_(0.5)
        apart = encoder(batch, layer=1).values - encoder(batch).values
    torch.testing.assert_close(apart, torch.full_like(apart, 0.5), atol=1e-3, rtol=0)
    with pytest.raises(UsageError, match="layers 1 to 1"):
        encoder(batch, layer=2)
    with pytest.raises(ValueError, match="no mask embedding"):
        encoder.contextualise(local, local.valid)
