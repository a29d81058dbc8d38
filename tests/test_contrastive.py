"""Contrastive Predictive Coding: its encoder, its loss, its command."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chain import check_stopped_and_resumed, invoke
from small_encoders import check_padding
from stores import write_store
from torch import nn
from waves import generator, noise_batch

from avaffect.core.errors import UsageError
from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.contrastive import (
    CELLS,
    PRESETS,
    STRIDES,
    ContrastiveConfiguration,
    ContrastiveEncoder,
    HalvesConvolution,
)
from avaffect.models.encoder import Frames
from avaffect.objectives.base import Context
from avaffect.objectives.contrastive_prediction import (
    ContrastivePrediction,
    ContrastivePredictionConfiguration,
)
from avaffect.objectives.losses.info_nce import draw_distinct, info_nce
from avaffect.settings import pretrain_cpc
from avaffect.training import checkpoint

TINY = ContrastiveConfiguration(dim=8)


def context(seed: int = 0) -> Context:
    return Context(generator=generator(seed))


@pytest.fixture
def encoder() -> ContrastiveEncoder:
    torch.manual_seed(0)
    return ContrastiveEncoder(TINY)


def objective_of(
    encoder: ContrastiveEncoder, steps: int = 3, negatives: int = 5, source: str = "clip"
) -> ContrastivePrediction:
    torch.manual_seed(1)
    return ContrastivePrediction(
        encoder, ContrastivePredictionConfiguration(steps, negatives, source)
    )


# -- the encoder ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4)])
def test_the_published_size(cell, gates):
    with torch.device("meta"):
        model = ContrastiveEncoder(ContrastiveConfiguration(cell=cell))
    kernels = (10, 8 * 256, 4 * 256, 4 * 256, 4 * 256)
    convolutions = sum(256 * kernel + 3 * 256 for kernel in kernels)
    recurrence = gates * 256 * (256 + 256 + 2)
    assert sum(p.numel() for p in model.parameters()) == convolutions + recurrence
    assert model.configuration == ContrastiveConfiguration(256, cell, 1)
    assert registry.build(registry.describe(model)).configuration == model.configuration
    assert sum(p.numel() for p in ContrastiveEncoder(PRESETS["nano"]).parameters()) < 1e6
    assert tuple(CELLS) == pretrain_cpc.CELLS


def test_as_many_frames_as_convolutions_without_padding(encoder):
    samples = torch.arange(2000)
    expected = samples
    for kernel, stride in zip((10, 8, 4, 4, 4), STRIDES):
        assert kernel == 2 * stride
        expected = ((expected - kernel) // stride + 1).clamp(min=0)
    found = encoder.frame_count({"waveform": samples})
    assert found.tolist() == expected.tolist()
    assert found.tolist() == ((samples - 465) // 160 + 1).clamp(min=0).tolist()


@pytest.mark.parametrize(("inputs", "stride"), [(1, 5), (3, 2), (4, 4)])
def test_blocks_are_a_convolution(inputs, stride):
    torch.manual_seed(0)
    layer = HalvesConvolution(inputs, 6, stride).double()
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 7 * stride, inputs, dtype=torch.float64, requires_grad=True)
    expected = F.conv1d(x.transpose(1, 2), layer.weight, layer.bias, stride).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)
    assert torch.autograd.gradcheck(
        lambda x, weight: torch.func.functional_call(layer, {"weight": weight}, (x,)),
        (x, layer.weight.detach().clone().requires_grad_()),
    )


@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_batch_mates_never_change_frames(cell):
    torch.manual_seed(0)
    encoder = ContrastiveEncoder(ContrastiveConfiguration(8, cell, 2))
    batch = noise_batch(9000, 16000, 3217, 465, 464, 0)
    check_padding(encoder, batch, [54, 98, 18, 1, 0, 0])


@torch.no_grad()
def test_a_frame_knows_its_past_alone(encoder):
    batch = noise_batch(16000)
    before = encoder(batch).values
    # Frame 50 sees samples 8000 to 8464.
    batch.streams["waveform"][0, 8465:] = 0
    after = encoder(batch).values
    torch.testing.assert_close(before[0, :51], after[0, :51])
    assert (before[0, 51] - after[0, 51]).abs().max() > 1e-4


def test_layers_and_what_it_cannot_hide(encoder):
    batch = noise_batch(8000)
    local = encoder.features(batch)
    assert local.values.shape == (1, 48, 8)
    torch.testing.assert_close(encoder(batch, layer=1).values, local.values)
    torch.testing.assert_close(encoder(batch, layer=2).values, encoder(batch).values)
    for layer in (0, 3):
        with pytest.raises(UsageError, match="layers 1 to 2"):
            encoder(batch, layer=layer)
    with pytest.raises(ValueError, match="no mask embedding"):
        encoder.contextualise(local, local.valid)


# -- negatives ------------------------------------------------------------------------------------


def test_subsets_are_uniform():
    drawn = draw_distinct(torch.full((6000,), 5), 3, generator())
    found = Counter(tuple(sorted(row)) for row in drawn.tolist())
    assert len(found) == 10
    assert all(len(set(row)) == 3 for row in found)
    # 600 expected, 23 their deviation.
    assert all(500 < count < 700 for count in found.values())
    small = draw_distinct(torch.tensor([0, 1, 2, 3]), 3, generator())
    assert [sorted(row) for row in small.tolist()] == [
        [-1, -1, -1], [-1, -1, 0], [-1, 0, 1], [0, 1, 2]
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["clip", "batch"])
@pytest.mark.parametrize("negatives", [1, 6, 40])
def test_negatives_are_valid_and_never_the_positive(encoder, source, negatives):
    objective = objective_of(encoder, negatives=negatives, source=source)
    lengths, longest = torch.tensor([20, 7, 0, 2]), 22
    frames = Frames(torch.zeros(4, longest, 8), lengths)
    valid = set(torch.nonzero(frames.valid.flatten()).flatten().tolist())
    seen = Counter()
    for seed in range(20):
        candidates, columns = objective.draw(frames, generator(seed))
        for clip, length in enumerate(lengths.tolist()):
            own = {clip * longest + t for t in range(length)}
            pool = own if source == "clip" else valid
            for step in range(3):
                for t in range(length):
                    here = candidates[clip, step].tolist()
                    del here[int(columns[clip, step, t])]
                    there = [place for place in here if place >= 0]
                    assert len(there) == len(set(there)) == min(negatives, len(pool) - 1)
                    assert set(there) <= pool - {clip * longest + t}
                    seen.update(there)
    # Every frame is somebody's negative.
    assert seen.keys() == valid


def test_left_out_candidates_are_drawn_evenly(encoder):
    """The negatives of a frame that is not among the candidates are any of those, equally often."""
    objective = objective_of(encoder, steps=1, negatives=3)
    frames = Frames(torch.zeros(1, 6, 8), torch.tensor([6]))
    found = Counter()
    for seed in range(3000):
        candidates, columns = objective.draw(frames, generator(seed))
        here = candidates[0, 0].tolist()
        del here[int(columns[0, 0, 5])]
        found.update(here)
    # Three of the other five: 1800 each, their deviation 27.
    assert set(found) == set(range(5))
    assert all(1690 < count < 1910 for count in found.values())


# -- the loss -------------------------------------------------------------------------------------


def test_info_nce_by_hand():
    predicted = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    positives = torch.tensor([[[0.5, 9.0], [1.0, 1.0]]])
    candidates = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])
    losses, wins = info_nce(
        predicted, positives, candidates,
        torch.tensor([[False, False, True]]), torch.tensor([[1, 0]]),
    )  # fmt: skip
    # Scores of the first frame: 0.5 for the positive, 2 for candidate 0, the last is missing.
    assert losses[0, 0] == pytest.approx(math.log(math.exp(0.5) + math.exp(2.0)) - 0.5)
    # Of the second: 2 for the positive in the place of candidate 0, 2 for candidate 1.
    assert losses[0, 1] == pytest.approx(math.log(2.0))
    assert wins.tolist() == [[False, True]]


@torch.no_grad()
@pytest.mark.parametrize("source", ["clip", "batch"])
def test_against_a_loop(encoder, source):
    objective = objective_of(encoder, source=source)
    batch = noise_batch(3000, 4000, 900, 100)
    step = objective(batch, context(5))
    local = encoder.features(batch)
    seen = encoder.contextualise(local).values.double()
    candidates, columns = objective.draw(local, generator(5))
    local.values = local.values.double()
    flat = local.values.flatten(0, 1)
    weight = objective.head.weight.view(3, 8, 8).double()
    total, count, right = 0.0, 0, 0
    for clip, length in enumerate(local.lengths.tolist()):
        for ahead in range(1, 4):
            for t in range(length - ahead):
                predicted = weight[ahead - 1] @ seen[clip, t]
                here = candidates[clip, ahead - 1].tolist()
                del here[int(columns[clip, ahead - 1, t + ahead])]
                positive = float(predicted @ local.values[clip, t + ahead])
                others = [float(predicted @ flat[place]) for place in here if place >= 0]
                total += math.log(sum(math.exp(s) for s in [positive, *others])) - positive
                right += positive > max(others)
                count += 1
    value, found = step.losses["contrastive"]
    assert local.lengths.tolist() == [16, 23, 3, 0]
    assert int(found) == count == 15 + 14 + 13 + 22 + 21 + 20 + 2 + 1
    assert float(value) == pytest.approx(total, rel=1e-5)
    assert float(step.metrics["accuracy"][0]) == right
    assert objective.counts(batch, context()) == {"contrastive": count}
    assert objective.coupled == (source == "batch")


def test_its_gradient():
    torch.manual_seed(0)
    shapes = ((2, 4, 3), (2, 4, 3), (2, 5, 3))
    inputs = tuple(torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes)
    missing = torch.tensor([[False] * 5, [False, True, False, False, True]])
    column = torch.tensor([[0, 1, 2, 4], [0, 0, 3, 2]])
    assert torch.autograd.gradcheck(lambda *x: info_nce(*x, missing, column)[0], inputs)


@pytest.mark.parametrize("source", ["clip", "batch"])
def test_every_parameter_learns(encoder, source):
    objective = objective_of(encoder, source=source)
    step = objective(noise_batch(8000, 6000, 600, 0), context())
    step.losses["contrastive"][0].backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in objective.parameters())


@pytest.mark.parametrize("source", ["clip", "batch"])
@pytest.mark.parametrize("samples", [(0, 0), (300,), (465, 700), (470,)], ids=str)
def test_nothing_to_foretell_is_no_loss(encoder, source, samples):
    step = objective_of(encoder, source=source)(noise_batch(*samples), context())
    value, count = step.losses["contrastive"]
    pairs = sum(max(0, (s - 465) // 160) for s in samples)
    assert int(count) == pairs
    assert value.isfinite()
    assert pairs or float(value.detach()) == 0.0


def test_silence_and_half_precision_give_numbers(encoder):
    objective = objective_of(encoder)
    batch = noise_batch(8000, 6000)
    batch.streams["waveform"][0] = 0
    with torch.autocast("cpu", torch.bfloat16):
        value, count = objective(batch, context()).losses["contrastive"]
    value.backward()
    assert value.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in objective.parameters())
    plain = objective(batch, context()).losses["contrastive"][0]
    assert float(value.detach() / count) == pytest.approx(float(plain.detach() / count), rel=0.02)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(voices, tmp_path_factory):
    found = tmp_path_factory.mktemp("contrastive")
    shutil.copy(voices / "a.h5", found)
    write_store(found / "short.h5", {"waveform": (16000.0, [np.ones(2000, np.int16)] * 3)})
    return found


RUN = ("pretrain-cpc", "a.h5", "--preset", "nano", "--steps", 5, "--batch-seconds", 4)


def test_pre_training_and_what_becomes_of_it(folder, tmp_path):
    output = tmp_path / "x.safetensors"
    found = invoke(folder, *RUN, "-o", output)
    assert "contrastive loss" in found.stderr
    assert "effective rank" in found.stderr
    header, tensors = checkpoint.load(output, expect="encoder")
    assert header["model"] == {"name": "contrastive", "configuration": asdict(PRESETS["nano"])}
    assert header["objective"]["configuration"]["negatives_from"] == "batch"
    assert tensors["objective.head.weight"].shape == (12 * 96, 96)
    for layer in ((), ("--layer", 1)):
        name = tmp_path / f"f{len(layer)}.h5"
        invoke(folder, "extract", "a.h5", "--model", output, *layer, "-o", name)
        features = Store(name).streams["features"]
        assert (features.rate_hz, features.shape) == (100.0, (96,))
    waves = Store(folder / "a.h5").lengths("waveform")
    assert (Store(name).lengths("features") == (waves - 465) // 160 + 1).all()
    invoke(folder, *RUN[:2], "--init", output, "--steps", 1, "--negatives-from", "clip",
           "--accumulate", 2, "-o", tmp_path / "on.safetensors")  # fmt: skip


def test_stopped_and_resumed(folder, tmp_path, monkeypatch):
    """A run stopped at each step in turn ends with the weights of one that was not."""
    check_stopped_and_resumed(folder, *RUN, folder=tmp_path, stops=4, monkeypatch=monkeypatch)


def test_it_learns_to_foretell(folder, tmp_path):
    output = tmp_path / "x.safetensors"
    invoke(folder, "pretrain-cpc", "a.h5", "--preset", "nano", "--steps", 50, "--batch-seconds", 4,
           "--ahead", 3, "--learning-rate", 3e-3, "-o", output)  # fmt: skip
    metrics = checkpoint.load(output)[0]["metrics"]
    chance = 1 / 129
    assert metrics["first"]["accuracy"] < 4 * chance
    assert metrics["last"]["accuracy_first"] > 15 * chance
    assert metrics["last"]["contrastive"] < math.log(129) - 0.5


def test_what_is_too_short_is_said(folder, tmp_path):
    """2,000 samples are 10 frames, 13 take 2,385."""
    line = (*RUN[:1], *RUN[2:], "-o", tmp_path / "x.safetensors")
    words = invoke(folder, *line, "short.h5", status=65).stderr
    assert "no utterance has 0.15 s of waveform" in words
    words = invoke(folder, *line, "short.h5", "a.h5").stderr
    assert "3 of 19 utterances are left out" in words
    invoke(folder, *line, "short.h5", "--ahead", 9, "--fresh", "-f")


def test_the_control_and_nonsense(folder, tmp_path):
    output = tmp_path / "random.safetensors"
    words = invoke(folder, *RUN[:2], "--cell", "lstm", "--preset", "nano", "--steps", 0,
                   "-o", output).stderr  # fmt: skip
    assert "initialised, not trained" in words
    assert checkpoint.load(output)[0]["model"]["configuration"]["cell"] == "lstm"
    for options in (("--ahead", 0), ("--negatives", 0), ("--init", output, "--cell", "gru")):
        invoke(folder, *RUN, *options, "-o", tmp_path / "x", status=2)
    words = invoke(folder, *RUN, "--accumulate", 2, "-o", tmp_path / "x", status=2).stderr
    assert "--negatives-from clip does not" in words
