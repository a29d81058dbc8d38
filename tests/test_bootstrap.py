"""BYOL: the loss by hand, the teacher, resuming, a collapse that is noticed, the command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from clips import FaceBatches, check_resuming, faces, generator, tiny_encoder
from stores import write_store
from tiny_training import history, run
from torch import nn

from avaffect.core.errors import UsageError
from avaffect.data.store.reader import Store
from avaffect.models.view_heads import Perceptron
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.objectives import teacher
from avaffect.objectives.base import Context
from avaffect.objectives.bootstrap import Bootstrap, BootstrapConfiguration, distance
from avaffect.objectives.teacher import (
    embedding_std,
    follow,
    momentum_at,
    teacher_of,
)
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining import methods
from avaffect.training import checkpoint


def bootstrap(momentum: float = 0.9, seed: int = 0) -> Bootstrap:
    return Bootstrap(tiny_encoder(seed), BootstrapConfiguration(momentum, hidden=24, outputs=12))


# -- the loss -------------------------------------------------------------------------------------


def naive(predicted, target) -> list[float]:
    """2 - 2 cos with loops over numbers."""
    found = []
    for p, t in zip(predicted.tolist(), target.tolist()):
        dot = sum(a * b for a, b in zip(p, t))
        found.append(2 - 2 * dot / math.sqrt(sum(a * a for a in p) * sum(b * b for b in t)))
    return found


def test_distance_by_hand_and_by_loops():
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 1.0]])
    y = torch.tensor([[0.0, 2.0], [6.0, 8.0], [-5.0, -5.0]])
    assert distance(x, y).tolist() == pytest.approx([2.0, 0.0, 4.0], abs=1e-6)
    x, y = torch.randn(2, 7, 5, dtype=torch.float64, generator=generator())
    assert distance(x, y).tolist() == pytest.approx(naive(x, y), rel=1e-12)
    # The square distance of the unit vectors.
    unit = [v / v.norm(dim=1, keepdim=True) for v in (x, y)]
    torch.testing.assert_close(distance(x, y), (unit[0] - unit[1]).square().sum(1))


def test_its_gradients_match_finite_differences():
    x, y = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator(1))
    assert torch.autograd.gradcheck(lambda p: distance(p, y), (x.requires_grad_(),))


def test_both_ways_round_with_views_of_the_generator():
    objective = bootstrap().eval()
    with torch.no_grad():
        # A teacher that is not the student.
        for buffer in objective.teacher.buffers():
            if buffer.is_floating_point():
                buffer.mul_(1.1)
    batch = faces((7, 5, 6))
    step = objective(batch, Context(generator=generator(5)))
    drawn, lengths = generator(5), batch.lengths["face"]
    clips = objective.encoder.clips(batch.streams["face"])
    views = [view(clips, lengths, drawn) for view in objective.views]
    assert [v.shape for v in views] == [(3, 7, 29, 29)] * 2
    total = 0.0
    with torch.no_grad():
        for own, other in (views, views[::-1]):
            for row, length in enumerate(lengths.tolist()):
                frames = objective.encoder.embed(
                    own[row : row + 1, :length], lengths[row : row + 1]
                )
                seen = frames.values.mean(1)
                predicted = objective.predictor(objective.student["projector"](seen))
                target = objective.teacher["encoder"].embed(
                    other[row : row + 1, :length], lengths[row : row + 1]
                )
                target = objective.teacher["projector"](target.values.mean(1))
                total += naive(predicted, target)[0]
    value, count = step.losses["byol"]
    assert (float(value.detach()), count) == (pytest.approx(total, rel=1e-4), 3.0)


def test_only_the_student_gets_gradients():
    objective = bootstrap().train()
    step = objective(faces((5,) * 6), Context(generator=generator()))
    step.losses["byol"][0].backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in objective.parameters())
    assert not any(b.requires_grad for b in objective.teacher.buffers())
    assert next(objective.teacher.parameters(), None) is None
    groups = objective.parameter_groups()
    assert sum(len(g.parameters) for g in groups) == len(list(objective.parameters()))
    assert all(p.ndim == 1 for p in groups[1].parameters)
    assert groups[1].options == {"weight_decay": 0.0}


def test_a_batch_of_one_clip_weighs_nothing():
    objective = bootstrap().train()
    value, count = objective(faces((5,)), Context(generator=generator())).losses["byol"]
    assert (float(value), count) == (0.0, 0.0)


def test_the_published_sizes():
    encoder = VisualEncoder(PRESETS["base"])
    objective = Bootstrap(encoder)

    def linear(a: int, b: int) -> int:
        return a * b + b

    projector = linear(512, 4096) + 2 * 4096 + linear(4096, 256)
    predictor = linear(256, 4096) + 2 * 4096 + linear(4096, 256)
    count = sum(p.numel() for p in objective.parameters())
    assert count == sum(p.numel() for p in encoder.parameters()) + projector + predictor
    assert Perceptron(4, 8, 2)(torch.zeros(3, 4)).shape == (3, 2)
    assert objective.coupled


# -- the teacher ----------------------------------------------------------------------------------


def test_the_teacher_follows_by_hand():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    copied = teacher_of(student)
    before = {name: t.clone() for name, t in copied.named_buffers()}
    assert before.keys() == student.state_dict().keys()
    x = torch.randn(4, 3)
    torch.testing.assert_close(copied(x), student(x))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter))
    student(x)
    follow(copied, student, 0.75)
    after = dict(copied.named_buffers())
    for name, value in student.named_parameters():
        torch.testing.assert_close(after[name], 0.75 * before[name] + 0.25 * value)
    # Running statistics are the student's; so is the number of batches that they are of.
    for name, value in student.named_buffers():
        assert torch.equal(after[name], value), name
    assert int(after["1.num_batches_tracked"]) == 2


def test_momentum_rises_to_one():
    assert momentum_at(0.996, 0.0) == pytest.approx(0.996)
    assert momentum_at(0.996, 0.5) == pytest.approx(0.998)
    assert momentum_at(0.996, 1.0) == 1.0
    assert momentum_at(0.9, 1 / 3) == pytest.approx(1 - 0.1 * 0.75)


def test_steps_of_the_loop_move_the_teacher_as_said(tmp_path: Path):
    """Replayed from the student's weights of each step."""
    objective = bootstrap(0.8)
    expected = {n: t.clone() for n, t in objective.teacher.named_buffers()}
    own = type(objective).after_step

    def after_step(self, context, phase="main"):
        own(self, context, phase)
        tau = 1 - (1 - 0.8) * (math.cos(math.pi * context.progress) + 1) / 2
        for name, value in self.student.named_parameters():
            expected[name] = tau * expected[name] + (1 - tau) * value.detach()

    objective.after_step = after_step.__get__(objective)
    run(objective, FaceBatches(), tmp_path / "s", epochs=2, learning_rate=1e-2)
    for name, _ in objective.student.named_parameters():
        found = dict(objective.teacher.named_buffers())[name]
        torch.testing.assert_close(found, expected[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("killed", [1, 4, 5])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, killed: int):
    whole = check_resuming(lambda seed: bootstrap(seed=seed), tmp_path, killed)
    found = dict(whole.teacher.named_buffers())
    assert not torch.equal(found["projector.0.weight"], whole.student["projector"][0].weight)


def test_accumulation_is_refused():
    with pytest.raises(UsageError, match="the task ties the utterances of a batch"):
        run(bootstrap(), FaceBatches(), epochs=1, accumulate=2)


# -- collapse -------------------------------------------------------------------------------------


def test_embedding_std_of_spread_and_equal_vectors():
    spread = torch.randn(20000, 16, generator=generator())
    value, count = embedding_std(spread)
    assert (float(value), count) == (pytest.approx(1.0, abs=0.01), 1.0)
    same = torch.randn(1, 16, generator=generator()).expand(50, -1)
    assert float(embedding_std(same)[0]) == pytest.approx(0.0, abs=1e-6)
    assert embedding_std(spread[:1]) == (0.0, 0.0)
    # By hand: directions 0 and 90 degrees; each number is 0 or 1.
    assert float(embedding_std(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))[0]) == pytest.approx(
        0.5 * math.sqrt(2)
    )


def test_a_collapse_is_said():
    objective = bootstrap().train()
    batch = faces((5,) * 6)
    healthy = objective(batch, Context(generator=generator())).metrics["embedding_std"]
    assert objective.collapse({"embedding_std": float(healthy[0])}) is None
    with torch.no_grad():
        objective.student["projector"][-1].weight.zero_()
    dead = objective(batch, Context(generator=generator())).metrics["embedding_std"]
    assert "the encoder has collapsed" in objective.collapse({"embedding_std": float(dead[0])})
    assert objective.collapse({}) is None


# -- the command ----------------------------------------------------------------------------------


def moving_faces(count: int = 12, frames: int = 8, size: int = 24) -> list[np.ndarray]:
    """A disc of its own place, size and brightness in each clip, drifting."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:size, :size]
    clips = []
    for _ in range(count):
        place, drift = rng.uniform(6, 18, 2), rng.uniform(-0.5, 0.5, 2)
        radius, light = rng.uniform(3, 8), rng.uniform(60, 250)
        found = np.full((frames, size, size, 1), 30, np.uint8)
        for time in range(frames):
            y, x = place + drift * time
            found[time, (down - y) ** 2 + (across - x) ** 2 < radius**2] = light
        clips.append(found)
    return clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("byol")
    write_store(found / "m.h5", {"face": (25.0, moving_faces())})
    return found


LINE = ("pretrain-byol", "m.h5", "--preset", "nano", "--batch-utterances", 6)


def test_the_chain(folder: Path, tmp_path: Path):
    found = invoke(folder, *LINE, "--epochs", 3, "--log-every", 1, "-o",
                   tmp_path / "byol.safetensors")  # fmt: skip
    assert "byol loss" in found.stderr and "effective rank" in found.stderr
    header, tensors = checkpoint.load(tmp_path / "byol.safetensors", expect="encoder")
    assert header["model"]["name"] == "visual"
    assert header["objective"] == {
        "name": "bootstrap",
        "configuration": {
            "momentum": 0.996, "smallest_crop": 0.08, "hidden": None, "outputs": None,
            "crop_seconds": 0.2,
        },
        "streams": [],
    }  # fmt: skip
    assert header["metrics"]["last"].keys() >= {"byol", "embedding_std", "learning_rate"}
    assert "objective.predictor.3.weight" in tensors
    assert "resnet.trunk.layer4.1.bn2.weight" in tensors
    assert "objective.teacher.encoder.resnet.trunk.layer4.1.bn2.weight" in tensors
    lines = history(tmp_path / "byol.safetensors.metrics.jsonl")
    assert len(lines) == 6 and all("embedding_std" in line for line in lines)
    assert not (tmp_path / "byol.safetensors.state").exists()
    assert "up to date" in invoke(folder, *LINE, "--epochs", 3, "--log-every", 1, "-o",
                                  tmp_path / "byol.safetensors").stderr  # fmt: skip
    more = invoke(folder, "pretrain-byol", "m.h5", "--init", tmp_path / "byol.safetensors",
                  "--steps", 1, "-o", tmp_path / "more.safetensors")  # fmt: skip
    assert "byol loss" in more.stderr
    invoke(folder, "extract", "m.h5", "--model", tmp_path / "byol.safetensors",
           "-o", tmp_path / "f.h5")  # fmt: skip
    assert Store(tmp_path / "f.h5").streams["features"].shape == (64,)


def test_a_collapse_is_a_warning(folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(teacher, "COLLAPSED_STD", 2.0)
    line = ("--steps", 1, "-o", tmp_path / "byol.safetensors")
    assert "warning: the embeddings of different clips are equal" in (
        invoke(folder, *LINE, *line).stderr
    )


def test_features_of_one_direction_are_a_warning(folder: Path, tmp_path: Path, monkeypatch):
    words = "(effective rank"
    line = (*LINE, "--steps", 1, "-o", tmp_path / "byol.safetensors")
    assert words not in invoke(folder, *line).stderr
    monkeypatch.setattr(methods, "COLLAPSED_RANK", 64.0)
    found = invoke(folder, *line, "-f", "--seed", 1).stderr
    assert words in found and "of 64): the encoder has collapsed" in found
    # Of a few utterances there are few directions.
    write_store(tmp_path / "few.h5", {"face": (25.0, moving_faces(9))})
    line = ("--preset", "nano", "--steps", 1, "-o", "few.safetensors")
    assert words not in invoke(tmp_path, "pretrain-byol", "few.h5", *line).stderr


def test_the_encoder_knows_the_pixels_of_its_corpus(folder: Path, tmp_path: Path):
    """Stores without statistics are said; those of preprocess are taken over."""
    line = ("--steps", 0, "-o", tmp_path / "byol.safetensors")
    assert "no store has pixel statistics" in invoke(folder, *LINE, *line).stderr
    encoder, _ = checkpoints.load_encoder(tmp_path / "byol.safetensors", torch.device("cpu"))
    assert encoder.configuration == PRESETS["nano"]


def test_what_makes_no_sense_is_said(folder: Path, tmp_path: Path):
    output = ("-o", tmp_path / "x.safetensors")
    for wrong, words in (
        (("--crop-seconds", 0.1), "--crop-seconds 0.1: at least 0.2"),
        (("--smallest-crop", 0), "--smallest-crop 0: above 0, at most 1"),
        (("--momentum", 1.5), "--momentum 1.5: at least 0, at most 1"),
        (("--batch-utterances", 1), "--batch-utterances 1: at least 2"),
    ):
        assert words in invoke(folder, *LINE, *wrong, *output, status=2).stderr
    refused = ("--accumulate", 2, "-o", tmp_path / "y.safetensors")
    assert "takes no --accumulate" in invoke(folder, *LINE, *refused, status=2).stderr
    assert not (tmp_path / "y.safetensors.state").exists()
    short = [np.zeros((n, 24, 24, 1), np.uint8) for n in (4, 8, 6)]
    write_store(tmp_path / "short.h5", {"face": (25.0, short)})
    line = ("--preset", "nano", "--steps", 1)
    found = invoke(tmp_path, "pretrain-byol", "short.h5", *line, *output)
    assert "1 of 3 utterances are left out, without 0.2 s of face: u0" in found.stderr
    write_store(tmp_path / "fast.h5", {"face": (30.0, short)})
    found = invoke(tmp_path, "pretrain-byol", "fast.h5", *line, *output, "-f", status=65)
    assert "preprocess with --fps 25" in found.stderr
    write_store(tmp_path / "sound.h5", {"waveform": (16000.0, [np.zeros(9000, np.int16)])})
    found = invoke(tmp_path, "pretrain-byol", "sound.h5", *line, *output, "-f", status=65)
    assert "no stream 'face'" in found.stderr and "mouths" not in found.stderr
