"""PASE: learned band-pass filters, the workers and their targets, the command."""

from __future__ import annotations

import math
import signal
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chain import invoke
from stores import write_store
from torch import nn
from waves import generator, noise_batch, one, wave_batch

from avaffect.core.errors import UsageError
from avaffect.data.batches import Bucketed
from avaffect.data.store import Store
from avaffect.models import registry
from avaffect.models.encoder import Frames
from avaffect.models.pase import PRESETS, PaseConfiguration, PaseEncoder
from avaffect.models.sinc import SincFilters
from avaffect.models.valid_norm import ValidBatchNorm
from avaffect.models.workers import RunningStandardisation
from avaffect.objectives import problem_agnostic
from avaffect.objectives.base import Context
from avaffect.objectives.information_maximisation import (
    CHUNK,
    global_chunks,
    global_step,
    local_pairs,
    local_step,
)
from avaffect.objectives.problem_agnostic import ProblemAgnostic
from avaffect.settings.pretrain_pase import WORKERS
from avaffect.signal.acoustic_targets import acoustic_targets
from avaffect.training import checkpoint

TINY = PaseConfiguration(
    filters=4,
    filter_width=31,
    blocks=((5, 20, 10), (6, 5, 2), (7, 3, 1), (8, 5, 2), (8, 3, 1), (8, 5, 2), (8, 5, 2)),
    dim=6,
)


def context(seed: int = 0) -> Context:
    return Context(generator=generator(seed))


@pytest.fixture
def encoder() -> PaseEncoder:
    torch.manual_seed(0)
    return PaseEncoder(TINY)


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


@torch.no_grad()
def test_padding_and_batch_mates_never_change_frames(encoder):
    samples = (9000, 16000, 3217, 400, 399, 0)
    encoder(noise_batch(4000, 9000))  # running statistics that are not those of a new norm
    encoder.eval()
    batch = noise_batch(*samples)
    together = encoder(batch)
    assert together.lengths.tolist() == [54, 98, 18, 1, 0, 0]
    for row in range(len(samples)):
        alone = encoder(one(batch, row))
        frames = int(together.lengths[row])
        torch.testing.assert_close(
            together.values[row, :frames], alone.values[0, :frames], atol=1e-5, rtol=1e-4
        )
        assert not together.values[row, frames:].any()


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
    around = TINY.seen - 400
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
    with pytest.raises(UsageError, match="layer 1 alone"):
        encoder(batch, layer=2)
    with pytest.raises(ValueError, match="no embedding"):
        encoder.contextualise(local, local.valid)


# -- which of two ---------------------------------------------------------------------------------


def test_pairs_of_frames():
    lengths = torch.tensor([5, 1, 3, 0, 2])
    seen = set()
    for seed in range(200):
        anchor, positive, negative = local_pairs(lengths, generator(seed))
        assert anchor.tolist() == [[c, t] for c, n in ((0, 5), (2, 3), (4, 2)) for t in range(n)]
        assert (anchor[:, 0] == positive[:, 0]).all()
        assert (anchor[:, 1] != positive[:, 1]).all()
        assert (anchor[:, 0] != negative[:, 0]).all()
        for pairs in (positive, negative):
            assert (pairs[:, 1] < lengths[pairs[:, 0]]).all()
        seen |= {(0, 0, *positive[0].tolist()), (1, 0, *negative[0].tolist())}
    # Of the first frame: four positives, five negatives.
    assert len(seen) == 9
    assert all(len(pairs) == 0 for pairs in local_pairs(torch.tensor([9, 1]), generator()))


def test_chunks_do_not_overlap():
    lengths = torch.tensor([20, 19, 47, 900])
    first = set()
    for seed in range(200):
        rows, starts, size = global_chunks(lengths, generator(seed))
        assert rows.tolist() == [0, 2, 3]
        assert size.tolist() == [10, 23, CHUNK]
        assert (starts >= 0).all()
        assert (starts + size[:, None] <= lengths[rows, None]).all()
        assert ((starts[:, 0] - starts[:, 1]).abs() >= size).all()
        first.add(tuple(sorted(starts[1].tolist())))
    assert first == {(0, 23), (0, 24), (1, 24)}


@torch.no_grad()
def test_the_questions_by_hand():
    torch.manual_seed(0)
    frames = Frames(torch.randn(3, 30, 4), torch.tensor([30, 24, 5]))
    worker = nn.Linear(8, 1)

    def answer(anchor, other, same):
        score = float(worker(torch.cat([anchor, other])[None]))
        return math.log1p(math.exp(-score if same else score)), (score > 0) == same

    for name, asked in (("lim", local_step), ("gim", global_step)):
        again = generator(7)
        if name == "lim":
            pairs = local_pairs(frames.lengths, again)
            triples = [
                tuple(frames.values[clip, t] for clip, t in triple)
                for triple in zip(*(pair.tolist() for pair in pairs))
            ]
        else:
            rows, starts, size = global_chunks(frames.lengths, again)
            assert rows.tolist() == [0, 1]
            chunks = [
                [frames.values[r, s : s + n].mean(dim=0) for s in start]
                for r, start, n in zip(rows.tolist(), starts.tolist(), size.tolist())
            ]
            triples = [(*chunks[0], chunks[1][1]), (*chunks[1], chunks[0][1])]
        answers = [(answer(a, p, True), answer(a, n, False)) for a, p, n in triples]
        step = asked(worker, frames, generator(7))
        value, count = step.losses[name]
        assert count == len(triples) == {"lim": 59, "gim": 2}[name]
        assert float(value) == pytest.approx(sum(p[0] + n[0] for p, n in answers) / 2, rel=1e-4)
        right, _ = step.metrics[f"{name}_accuracy"]
        assert float(right) == sum(p[1] + n[1] for p, n in answers) / 2


# -- the objective --------------------------------------------------------------------------------


def test_statistics_are_those_of_all_rows():
    x = torch.randn(1000, 3, generator=generator()) * torch.tensor([1.0, 50.0, 0.0]) + 1e4
    standardisation = RunningStandardisation(3)
    for part in x.split([1, 499, 0, 500]):
        standardisation.gather(part)
    expected = RunningStandardisation(3)
    expected.fit(x)
    torch.testing.assert_close(standardisation.mean, expected.mean)
    torch.testing.assert_close(standardisation.std, expected.std, rtol=1e-5, atol=1e-6)
    assert standardisation(x)[:, :2].std(dim=0).sub(1).abs().max() < 1e-2


def test_the_losses_by_hand(encoder):
    objective = ProblemAgnostic(encoder)
    assert sum(objective.weights.values()) == pytest.approx(1.0)
    batch = noise_batch(8000, 4321, 399)
    step = objective(batch, context())
    targets = acoustic_targets(batch.waveform, batch.lengths["waveform"])
    with torch.no_grad():
        frames = encoder(batch)
        wave = batch.waveform.float() / 32768
        targets["waveform"] = torch.zeros(3, 48, 160)
        for row, length in enumerate(frames.lengths.tolist()):
            for t in range(length):
                targets["waveform"][row, t] = wave[row, 160 * t + 120 : 160 * t + 280]
        for name, values in targets.items():
            rows = values[frames.valid].double()
            dims = (0, 1) if name == "waveform" else 0
            spread = rows.std(dim=dims, correction=0)
            wanted = (rows - rows.mean(dim=dims)) / torch.where(spread > 0, spread, 1.0)
            error = objective.workers[name](frames.values[frames.valid]) - wanted
            error = error.abs() if name == "waveform" else error.square()
            value, count = step.losses[name]
            assert count == 48 + 25
            assert float(value / count) == pytest.approx(float(error.mean()), rel=1e-3), name
    total = sum(float(v.detach()) / c for v, c in step.losses.values()) / 7
    assert float(step.metrics["workers"][0]) == pytest.approx(total, rel=1e-5)
    assert objective.counts(batch, context()) == {
        name: float(count) for name, (_, count) in step.losses.items()
    }
    assert step.losses.keys() == set(WORKERS)


def test_gathering_ends(encoder, monkeypatch):
    monkeypatch.setattr(problem_agnostic, "GATHERED", 4)
    objective = ProblemAgnostic(encoder, ("mfcc", "lim"))
    assert objective.weights == {"mfcc": 0.5, "lim": 0.5}
    objective.eval()(noise_batch(8000), context())
    assert int(objective.gathered) == 0
    objective.train()
    for _ in range(3):
        objective(noise_batch(8000, 7000, 6000), context())
    assert int(objective.gathered) == 6
    assert int(objective.workers["mfcc"].standardisation.rows) == 2 * (48 + 42 + 36)
    with pytest.raises(ValueError, match="known are"):
        ProblemAgnostic(encoder, ("mfcc", "nothing"))


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_every_parameter_learns(encoder, precision):
    objective = ProblemAgnostic(encoder)
    batch = noise_batch(8000, 9000, 6000)
    batch.streams["waveform"][0] = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        step = objective(batch, context())
    sum(value / count for value, count in step.losses.values()).backward()
    for name, p in objective.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.any(), name
    assert all(b.isfinite().all() for b in objective.buffers())


@pytest.mark.parametrize("samples", [(0,), (300, 399), (400,), (8000,), (8000, 560)], ids=str)
def test_what_is_too_short_takes_no_part(encoder, samples):
    objective = ProblemAgnostic(encoder)
    batch = noise_batch(*samples)
    step = objective(batch, context())
    assert all(value.isfinite() for value, _ in step.losses.values())
    counts = {name: float(count) for name, (_, count) in step.losses.items()}
    assert counts == objective.counts(batch, context())
    assert counts["gim"] == 0
    assert (counts["lim"] > 0) == (samples == (8000, 560))


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("pase")
    invoke(found, "synth", "wav", "--modality", "audio", "--utterances", 16, "--speakers", 4,
           "--shortest", 0.6, "--longest", 1.0, "-o", "a.jsonl", "-j", 1)  # fmt: skip
    invoke(found, "preprocess", "a.jsonl", "-o", "a.h5", "-j", 1)
    write_store(found / "short.h5", {"waveform": (16000.0, [np.ones(3000, np.int16)] * 3)})
    zeros = np.zeros(9000, np.int16)
    write_store(found / "silent.h5", {"waveform": (16000.0, [zeros[:0]] * 3 + [zeros] * 3)})
    return found


RUN = ("pretrain-pase", "a.h5", "--preset", "nano", "--steps", 4, "--batch-seconds", 4)


def test_pre_training_and_what_becomes_of_it(folder, tmp_path):
    output = tmp_path / "x.safetensors"
    found = invoke(folder, *RUN, "-o", output)
    assert "workers loss" in found.stderr
    assert "effective rank" in found.stderr
    header, tensors = checkpoint.load(output, expect="encoder")
    assert header["model"]["name"] == "pase"
    assert registry.build(header["model"]).configuration == PRESETS["nano"]
    assert header["pretext"]["workers"] == list(WORKERS)
    assert tensors["workers.mfcc.standardisation.mean"].shape == (39,)
    assert tensors["workers.waveform.standardisation.std"].shape == (1,)
    assert header["metrics"]["last"].keys() >= {*WORKERS, "workers", "gim_accuracy"}
    assert asdict(PRESETS["nano"])["dim"] == 100
    invoke(folder, "extract", "a.h5", "--model", output, "-o", tmp_path / "f.h5")
    features = Store(tmp_path / "f.h5")
    assert features.streams["features"].rate_hz == 100.0
    assert features.streams["features"].shape == (100,)
    waves = Store(folder / "a.h5").lengths("waveform")
    assert (features.lengths("features") == (waves - 400) // 160 + 1).all()
    invoke(folder, *RUN[:2], "--init", output, "--steps", 1, "--accumulate", 2, "--without", "gim",
           "--without", "waveform", "-o", tmp_path / "on.safetensors")  # fmt: skip
    assert "gim" not in checkpoint.load(tmp_path / "on.safetensors")[0]["metrics"]["last"]


def test_stopped_and_resumed(folder, tmp_path, monkeypatch):
    """Stopped at each step in turn, the weights and all statistics are those of one go."""
    whole = tmp_path / "whole.safetensors"
    invoke(folder, *RUN, "-o", whole)
    served = Bucketed.batch

    def stop(self, indices, epoch):
        signal.raise_signal(signal.SIGTERM)
        return served(self, indices, epoch)

    parts = tmp_path / "parts.safetensors"
    monkeypatch.setattr(Bucketed, "batch", stop)
    for _ in range(3):
        invoke(folder, *RUN, "-o", parts, status=75)
    monkeypatch.setattr(Bucketed, "batch", served)
    invoke(folder, *RUN, "-o", parts)
    expected, found = (checkpoint.load(path)[1] for path in (whole, parts))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_it_learns_what_the_workers_ask(folder, tmp_path):
    output = tmp_path / "x.safetensors"
    invoke(folder, *RUN[:4], "--steps", 40, "--batch-seconds", 4, "--learning-rate", 3e-3,
           "-o", output)  # fmt: skip
    last = checkpoint.load(output)[0]["metrics"]["last"]
    assert last["fbank"] < 0.5
    assert last["lps"] < 0.7
    assert last["prosody"] < 0.6


def test_bad_input_is_said(folder, tmp_path):
    """3,000 samples are 17 frames; silence is sound like any other, and gives numbers."""
    line = (*RUN[:1], *RUN[2:], "-o", tmp_path / "x.safetensors")
    assert "no utterance has 0.2 s of waveform" in invoke(folder, *line, "short.h5",
                                                          status=65).stderr  # fmt: skip
    words = invoke(folder, *line, "silent.h5", "a.h5", "--precision", "bf16").stderr
    assert "3 of 22 utterances are left out" in words
    metrics = checkpoint.load(tmp_path / "x.safetensors")[0]["metrics"]["last"]
    assert metrics.keys() >= set(WORKERS)
    invoke(folder, *line, "silent.h5", "-f", "--fresh")


def test_the_control_and_nonsense(folder, tmp_path):
    words = invoke(folder, *RUN[:4], "--steps", 0, "-o", tmp_path / "random.safetensors").stderr
    assert "initialised, not trained" in words
    every = [part for name in WORKERS for part in ("--without", name)]
    invoke(folder, *RUN, *every, "-o", tmp_path / "x", status=2)
    invoke(folder, *RUN, "--without", "nothing", "-o", tmp_path / "x", status=2)
