"""The recurrent encoder, and the tasks that train it: Odd-One-Out and APC."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from chain import invoke
from small_encoders import check_padding
from stores import write_store
from waves import generator, noise_batch

from avaffect.core.errors import UsageError
from avaffect.core.provenance import provenance
from avaffect.data.store.reader import Store
from avaffect.models import hubert, registry
from avaffect.models.encoder import Frames
from avaffect.models.hubert import Hubert
from avaffect.models.recurrent import PRESETS, RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives.autoregressive import (
    AutoregressivePrediction,
    AutoregressivePredictionConfiguration,
)
from avaffect.objectives.base import Context
from avaffect.objectives.jumbling import fits, reorder, swap_order, window_length
from avaffect.objectives.odd_one_out import OddOneOut, OddOneOutConfiguration
from avaffect.recipes.encoding import checkpoints
from avaffect.training import checkpoint

TINY = RecurrentConfiguration(bands=80, layers=2, hidden=12, dim=10)


def context(seed: int = 0) -> Context:
    return Context(generator=generator(seed))


@pytest.fixture
def encoder() -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(TINY)


# -- the encoder ----------------------------------------------------------------------------------


def test_the_published_size():
    """Three layers of GRU, 3 (in + out + 2) out each, and a linear layer."""
    with torch.device("meta"):
        model = RecurrentEncoder(PRESETS["base"])
    layers = 3 * 512 * (80 + 512 + 2) + 2 * 3 * 512 * (512 + 512 + 2)
    assert sum(p.numel() for p in model.parameters()) == layers + 512 * 512 + 512
    assert registry.build(registry.describe(model)).configuration == PRESETS["base"]


def test_padding_and_batch_mates_never_change_frames(encoder):
    batch = noise_batch(9000, 16000, 3217, 400, 399, 0)
    check_padding(encoder.eval(), batch, [54, 98, 18, 1, 0, 0])


@torch.no_grad()
def test_a_frame_knows_its_past_alone(encoder):
    features = encoder.features(noise_batch(16000))
    before = encoder.contextualise(features).values
    features.values[0, 50:] = 3.0
    after = encoder.contextualise(features).values
    torch.testing.assert_close(before[0, :50], after[0, :50])
    assert (before[0, 50:] - after[0, 50:]).abs().max() > 1e-3


def test_layers_and_what_it_cannot_hide(encoder):
    features = encoder.features(noise_batch(8000))
    assert encoder.contextualise(features, layer=0).values.shape[2] == 80
    assert encoder.contextualise(features, layer=2).values.shape[2] == 12
    with pytest.raises(UsageError, match="layers 1 to 2"):
        encoder.contextualise(features, layer=3)
    with pytest.raises(ValueError, match="no mask embedding"):
        encoder.contextualise(features, features.valid)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_padding_and_batch_mates_never_change_trained_frames(encoder, half):
    features = torch.randn(3, 40, 80, generator=generator())
    lengths = torch.tensor([40, 17, 1])

    def frames_and_gradient(values: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
        values = values.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = encoder.contextualise(Frames(values, lengths)).values
        found.square().sum().backward()
        return [found.detach(), values.grad]

    together = frames_and_gradient(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = frames_and_gradient(features[row : row + 1, :length], lengths[row : row + 1])
        for found, expected in zip(together, alone, strict=True):
            size = expected.norm()
            assert (found[row, :length] - expected[0]).norm() <= (0.02 if half else 1e-5) * size
            assert not found[row, length:].any()


# -- jumbling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [4, 7, 20, 101])
def test_undoing_the_swap_restores_the_clip(length):
    values = torch.randn(3, 110, 5, generator=generator())
    lengths = torch.tensor([length, 110, 60])
    chosen = torch.tensor([True, False, True])
    order = swap_order(lengths, chosen, 110, generator(1))
    jumbled = reorder(values, order)
    torch.testing.assert_close(reorder(jumbled, order), values)
    moved = (order != torch.arange(110)).sum(dim=1)
    assert moved.tolist() == [2 * window_length(length), 0, 2 * window_length(60)]
    assert (order[0, length:] == torch.arange(length, 110)).all()
    assert jumbled[0, :length].sum() == pytest.approx(float(values[0, :length].sum()), abs=1e-4)


def test_windows_lie_everywhere_and_never_overlap():
    starts = set()
    for seed in range(300):
        order = swap_order(torch.tensor([20]), torch.tensor([True]), 20, generator(seed))[0]
        moved = torch.nonzero(order != torch.arange(20)).flatten()
        first, second = int(moved[0]), int(order[moved[0]])
        assert second - first >= 3
        assert order[first : first + 3].tolist() == list(range(second, second + 3))
        starts.add((first, second))
    assert min(a for a, _ in starts) == 0
    assert max(b for _, b in starts) == 17
    with pytest.raises(ValueError, match="too few"):
        swap_order(torch.tensor([1]), torch.tensor([True]), 1, generator())
    assert not fits(1)
    assert fits(2)


# -- Odd-One-Out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clips", "expected"), [(1, 1), (2, 1), (4, 1), (6, 2), (10, 2), (11, 3), (16, 4)]
)
def test_the_odd_count_is_exact(encoder, clips, expected):
    objective = OddOneOut(encoder)
    for seed in range(5):
        odd, usable = objective.draw(torch.tensor([*[50] * clips, 1]), generator(seed))
        assert odd.sum() == expected
        assert sorted(usable.tolist()) == list(range(clips))
        assert not odd[clips]


def test_one_of_each_group_is_odd(encoder):
    objective = OddOneOut(encoder, OddOneOutConfiguration("group", group=4))
    odd, groups = objective.draw(torch.tensor([50] * 11), generator())
    assert groups.shape == (2, 4)
    assert odd[groups].sum(dim=1).tolist() == [1, 1]
    step = objective(noise_batch(*[8000] * 11), context())
    assert float(step.losses["odd"][1]) == 2
    assert objective.counts(noise_batch(*[8000] * 11), context()) == {"odd": 2.0}
    empty = objective(noise_batch(8000, 8000), context())
    assert [float(part.detach()) for part in empty.losses["odd"]] == [0.0, 0.0]


def test_its_loss_by_hand(encoder):
    objective = OddOneOut(encoder).eval()
    batch = noise_batch(8000, 9000, 7000, 8500, 100)
    step = objective(batch, context(3))
    # The same by hand: the draws in their order, then clip by clip.
    again = generator(3)
    lengths = encoder.frame_count(batch.lengths)
    odd, _ = objective.draw(lengths, again)
    features = encoder.features(batch)
    order = swap_order(lengths, odd, features.values.shape[1], again)
    total = 0.0
    for row in range(4):
        clip = features.values[row, order[row]][: lengths[row]]
        frames = encoder.contextualise(Frames(clip[None], lengths[row : row + 1])).values[0]
        scores = objective.head(frames.mean(dim=0)).log_softmax(0)
        total -= float(scores[int(odd[row])].detach())
    value, count = step.losses["odd"]
    assert (float(value.detach()), int(count)) == (pytest.approx(total, rel=1e-5), 4)
    assert float(step.metrics["recall_jumbled"][1]) == 1
    assert float(step.metrics["recall_intact"][1]) == 3
    assert objective.counts(batch, context(3)) == {"odd": 4.0}


# -- APC ------------------------------------------------------------------------------------------


def test_apc_by_hand(encoder):
    objective = AutoregressivePrediction(encoder, AutoregressivePredictionConfiguration(3)).eval()
    batch = noise_batch(8000, 700, 0)
    features = encoder.features(batch)
    predicted = objective.head(encoder.contextualise(features).values)
    total = sum(
        float((predicted[row, t] - features.values[row, t + 3]).abs().mean().detach())
        for row, length in enumerate(features.lengths.tolist())
        for t in range(length - 3)
    )
    step = objective(batch, context())
    value, count = step.losses["prediction"]
    assert features.lengths.tolist() == [48, 2, 0]
    assert (float(value.detach()), int(count)) == (pytest.approx(total, rel=1e-5), 45)
    assert objective.counts(batch, context()) == {"prediction": 45.0}
    with pytest.raises(ValueError, match="at least one"):
        AutoregressivePrediction(encoder, AutoregressivePredictionConfiguration(0))


@pytest.mark.parametrize("task", ["odd", "apc"])
def test_every_parameter_learns(encoder, task):
    objective = OddOneOut(encoder) if task == "odd" else AutoregressivePrediction(encoder)
    step = objective(noise_batch(8000, 6000, 0), context())
    next(iter(step.losses.values()))[0].backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in objective.parameters())


# -- the commands ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(voices, tmp_path_factory):
    """Voices made from a seed, and a store of what is too short."""
    found = tmp_path_factory.mktemp("recurrent")
    shutil.copy(voices / "a.h5", found)
    write_store(found / "short.h5", {"waveform": (16000.0, [np.ones(300, np.int16)] * 3)})
    return found


@pytest.mark.parametrize(
    ("command", "loss", "options"),
    [
        ("pretrain-odd", "odd", ()),
        ("pretrain-odd", "odd", ("--variant", "group", "--group", 3)),
        ("pretrain-apc", "prediction", ("--shift", 2)),
    ],
    ids=str,
)
def test_pre_training_and_what_becomes_of_it(folder, tmp_path, command, loss, options):
    output = tmp_path / "x.safetensors"
    found = invoke(folder, command, "a.h5", "--preset", "nano", "--steps", 12, "--batch-seconds", 8,
                   "--learning-rate", 1e-3, *options, "-o", output)  # fmt: skip
    assert f"{loss} loss" in found.stderr
    assert "effective rank" in found.stderr
    header, tensors = checkpoint.load(output, expect="encoder")
    assert header["model"] == {"name": "recurrent", "configuration": asdict(PRESETS["nano"])}
    assert any(name.startswith("objective.head.") for name in tensors)
    assert '"times_real_time": ' in (tmp_path / "x.safetensors.metrics.jsonl").read_text()
    invoke(folder, "extract", "a.h5", "--model", output, "--layer", 2, "-o", tmp_path / "f.h5")
    features = Store(tmp_path / "f.h5")
    assert features.streams["features"].rate_hz == 100.0
    assert features.streams["features"].shape == (128,)
    assert "up to date" in invoke(
        folder, command, "a.h5", "--preset", "nano", "--steps", 12, "--batch-seconds", 8,
        "--learning-rate", 1e-3, *options, "-o", output,
    ).stderr  # fmt: skip
    invoke(folder, command, "a.h5", "--init", output, "--steps", 1, *options,
           "-o", tmp_path / "on.safetensors")  # fmt: skip


def test_unseen_clips_are_scored(voices, tmp_path):
    """With a split, development is what training does not see; the same questions every epoch."""
    invoke(voices, "split", "a.jsonl", "--ratios", 50, 25, 25, "-o", tmp_path / "s.jsonl")
    invoke(voices, "preprocess", tmp_path / "s.jsonl", "-o", tmp_path / "s.h5", "-j", 1)
    found = invoke(tmp_path, "pretrain-odd", "s.h5", "--preset", "nano", "--epochs", 2,
                   "--batch-seconds", 8, "-o", "odd.safetensors")  # fmt: skip
    assert "on development" in found.stderr
    metrics = checkpoint.load(tmp_path / "odd.safetensors")[0]["metrics"]
    assert metrics["development"].keys() == {"odd", "recall_jumbled", "recall_intact"}
    lines = (tmp_path / "odd.safetensors.metrics.jsonl").read_text().splitlines()
    scored = [json.loads(line) for line in lines if "development_odd" in line]
    assert [line["epoch"] for line in scored] == [1, 2]
    assert scored[1]["development_odd"] == pytest.approx(metrics["development"]["odd"])
    whole = invoke(tmp_path, "pretrain-odd", "s.h5", "--preset", "nano", "--epochs", 1,
                   "--batch-seconds", 8, "--split", "all", "-o", "all.safetensors")  # fmt: skip
    assert "on development" not in whole.stderr


def test_apc_learns_more_than_that_nothing_changes(folder, tmp_path):
    invoke(folder, "pretrain-apc", "a.h5", "--preset", "nano", "--epochs", 30, "--batch-seconds", 8,
           "--learning-rate", 3e-3, "-o", tmp_path / "apc.safetensors")  # fmt: skip
    metrics = checkpoint.load(tmp_path / "apc.safetensors")[0]["metrics"]["last"]
    assert metrics["prediction"] < 0.9 * metrics["repeated"]


def test_initialised_and_adapted_without_its_task(folder, tmp_path):
    """The control of every table; the chain of SAAML takes this encoder, too, but for L_PT."""
    random = tmp_path / "random.safetensors"
    words = invoke(folder, "pretrain-odd", "a.h5", "--preset", "nano", "--steps", 0, "-o", random)
    assert "initialised, not trained" in words.stderr
    invoke(folder, "train-projector", "a.h5", "--encoder", random, "--epochs", 2,
           "-o", tmp_path / "p.safetensors")  # fmt: skip
    invoke(folder, "extract", "a.h5", "--model", tmp_path / "p.safetensors",
           "-o", tmp_path / "e.h5")  # fmt: skip
    invoke(tmp_path, "retrieve", "--query", "e.h5", "--pool", "e.h5", "--draws", 2, "-o", "r.jsonl")
    invoke(tmp_path, "adapt", "r.jsonl", "--epochs", 1, "--without", "pt", "-o", "ad.safetensors")
    assert checkpoint.load(tmp_path / "ad.safetensors")[0]["model"]["name"] == "recurrent"


@pytest.mark.parametrize("command", ["pretrain-odd", "pretrain-apc"])
def test_what_is_too_short_is_said(folder, tmp_path, command):
    output = tmp_path / "x.safetensors"
    line = (command, "--preset", "nano", "--steps", 1, "-o", output)
    words = invoke(folder, *line, "short.h5", status=65).stderr
    assert "no utterance has" in words
    assert "which this task needs" in words
    words = invoke(folder, *line, "short.h5", "a.h5").stderr
    assert "3 of 19 utterances are left out" in words


def test_nonsense_is_refused(folder, tmp_path):
    for options in (("--share", 1), ("--window", 0.6), ("--variant", "group", "--group", 1)):
        invoke(folder, "pretrain-odd", "a.h5", *options, "-o", tmp_path / "x", status=2)
    invoke(folder, "pretrain-apc", "a.h5", "--shift", 0, "-o", tmp_path / "x", status=2)
    invoke(folder, "pretrain-apc", "a.h5", "--init", "y", "--preset", "nano",
           "-o", tmp_path / "x", status=2)  # fmt: skip
    other = tmp_path / "hubert.safetensors"
    checkpoints.save_encoder(
        other, Hubert(hubert.PRESETS["nano"]), None, provenance=provenance("test", {}, [])
    )
    words = invoke(folder, "pretrain-apc", "a.h5", "--init", other, "-o", tmp_path / "x",
                   status=65).stderr  # fmt: skip
    assert "was made by test and is of the kind hubert" in words
