"""DINO: the loss by loops, centre and temperatures, the frozen last layer, resuming, collapse, the
command."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from chain import invoke
from clips import FaceBatches, check_resuming, faces, generator, tiny_encoder
from stores import write_store
from test_bootstrap import moving_faces
from tiny_training import history, run
from torch import nn

from avaffect.core.errors import UsageError
from avaffect.models.view_heads import DistillationHead
from avaffect.models.visual import PRESETS, VisualEncoder
from avaffect.objectives.base import Context
from avaffect.objectives.distillation import (
    Distillation,
    DistillationConfiguration,
    cross_entropies,
)
from avaffect.training import checkpoint

QUICK = DistillationConfiguration(outputs=40, small_views=2, momentum=0.9)


def distillation(seed: int = 0, settings: DistillationConfiguration = QUICK) -> Distillation:
    return Distillation(tiny_encoder(seed), settings)


# -- the head -------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_head_gives_cosines():
    torch.manual_seed(0)
    head = DistillationHead(6, 10, 4, 7)
    x = torch.randn(5, 6)
    embedded = head.embed(x)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(5))
    found = head.scores(embedded)
    for row in range(5):
        for output in range(7):
            direction = head.directions.weight[output]
            cosine = float(torch.cosine_similarity(head.layers(x)[row], direction, dim=0))
            assert float(found[row, output]) == pytest.approx(cosine, abs=1e-5)
    # Weight norm: the length of a direction says nothing.
    with torch.no_grad():
        head.directions.weight.mul_(3.0)
    torch.testing.assert_close(head.scores(embedded), found)


def test_the_published_sizes():
    encoder = VisualEncoder(PRESETS["base"])
    objective = Distillation(encoder)
    head = 512 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 256 + 256 + 256 * 4096
    count = sum(p.numel() for p in objective.parameters())
    assert count == sum(p.numel() for p in encoder.parameters()) + head
    assert Distillation(encoder, DistillationConfiguration(outputs=65536)).centre.shape == (65536,)
    assert objective.coupled
    clips = torch.rand(1, 2, 96, 96)
    sizes = [
        view(clips, torch.tensor([2]), generator()).shape[2]
        for view in (*objective.large, *objective.small)
    ]
    assert sizes == [88] * 2 + [48] * 8


# -- the loss -------------------------------------------------------------------------------------


def naive(targets, scores) -> list[float]:
    """Loops over clips, pairs of views and outputs."""
    found = []
    for clip in range(scores.shape[1]):
        pairs = []
        for large in range(len(targets)):
            for view in range(len(scores)):
                if view == large:
                    continue
                row = scores[view, clip].tolist()
                total = math.log(sum(math.exp(value) for value in row))
                pairs.append(
                    -sum(p * (s - total) for p, s in zip(targets[large, clip].tolist(), row))
                )
        found.append(sum(pairs) / len(pairs))
    return found


@pytest.mark.parametrize("views", [2, 5])
def test_cross_entropies_by_loops_and_finite_differences(views: int):
    targets = torch.randn(2, 3, 6, dtype=torch.float64, generator=generator()).softmax(2)
    scores = 3 * torch.randn(views, 3, 6, dtype=torch.float64, generator=generator(1))
    assert cross_entropies(targets, scores).tolist() == pytest.approx(
        naive(targets, scores), rel=1e-12
    )
    assert torch.autograd.gradcheck(
        lambda s: cross_entropies(targets, s), (scores.requires_grad_(),)
    )


def test_the_step_by_hand():
    objective = distillation().eval()
    with torch.no_grad():
        for buffer in objective.teacher.buffers():
            if buffer.is_floating_point():
                buffer.mul_(1.2)
        objective.centre.copy_(0.1 * torch.randn(40, generator=generator()))
    batch = faces((7, 5, 6))
    step = objective(batch, Context(generator=generator(5)))
    drawn, lengths = generator(5), batch.lengths["face"]
    clips = objective.encoder.clips(batch.streams["face"])
    large = [view(clips, lengths, drawn) for view in objective.large]
    small = [view(clips, lengths, drawn) for view in objective.small]
    assert [v.shape[2:] for v in (*large, *small)] == [(29, 29)] * 2 + [(16, 16)] * 2

    @torch.no_grad()
    def scores(network, view):
        rows = []
        for row, length in enumerate(lengths.tolist()):
            frames = network["encoder"].embed(view[row : row + 1, :length], lengths[row : row + 1])
            rows.append(network["head"].scores(network["head"].embed(frames.values.mean(1))))
        return torch.cat(rows)

    told = torch.stack([scores(objective.teacher, view) for view in large])
    targets = ((told - objective.centre) / 0.04).softmax(2).double()
    student = torch.stack([scores(objective.student, view) for view in (*large, *small)]) / 0.1
    value, count = step.losses["dino"]
    expected = sum(naive(targets, student.double()))
    assert (float(value.detach()), count) == (pytest.approx(expected, rel=1e-4), 3.0)
    entropy, of = step.metrics["teacher_entropy"]
    by_hand = -(targets * targets.log()).sum()
    assert (float(entropy), of) == (pytest.approx(float(by_hand), rel=1e-4), 6.0)
    # In evaluation the centre stays.
    torch.testing.assert_close(objective.centre, 0.1 * torch.randn(40, generator=generator()))


def test_the_centre_is_a_running_mean_of_the_teachers_scores():
    objective = distillation().train()
    before = torch.randn(40, generator=generator(2))
    objective.centre.copy_(before)
    objective.centred.fill_(True)
    told = []
    scores = objective.teacher["head"].scores
    objective.teacher["head"].scores = lambda x: told.append(scores(x)) or told[-1]
    objective(faces((5,) * 4), Context(generator=generator()))
    assert told[0].shape == (8, 40)
    torch.testing.assert_close(objective.centre, 0.9 * before + 0.1 * told[0].mean(0))
    # It begins where the scores of the first batch are.
    objective.centred.fill_(False)
    objective(faces((5,) * 4), Context(generator=generator()))
    torch.testing.assert_close(objective.centre, told[1].mean(0))


def test_large_crops_alone_are_enough():
    step = distillation(settings=DistillationConfiguration(outputs=9, small_views=0))(
        faces((5, 5)), Context(generator=generator())
    )
    assert torch.isfinite(step.losses["dino"][0])


def test_only_the_student_gets_gradients():
    objective = distillation().train()
    objective(faces((5,) * 4), Context(generator=generator())).losses["dino"][0].backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in objective.parameters())
    assert next(objective.teacher.parameters(), None) is None


# -- training -------------------------------------------------------------------------------------


def test_the_last_layer_rests_for_an_epoch(tmp_path: Path):
    objective = distillation()
    first = objective.student["head"].directions.weight.detach().clone()
    below = objective.student["head"].layers[0].weight.detach().clone()
    run(objective, FaceBatches(), tmp_path / "s", epochs=1, weight_decay=0.1)
    assert torch.equal(objective.student["head"].directions.weight, first)
    assert not torch.equal(objective.student["head"].layers[0].weight, below)
    run(objective, FaceBatches(), tmp_path / "t", epochs=2, weight_decay=0.1)
    assert not torch.equal(objective.student["head"].directions.weight, first)


@pytest.mark.parametrize("killed", [2, 3, 7])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, killed: int):
    """Before, at and after the step at which the last layer wakes up."""
    assert check_resuming(distillation, tmp_path, killed).centre.any()


def test_accumulation_is_refused():
    with pytest.raises(UsageError, match="the task ties the utterances of a batch"):
        run(distillation(), FaceBatches(), epochs=1, accumulate=2)


# -- collapse -------------------------------------------------------------------------------------


def test_both_ways_to_collapse_are_said():
    objective = distillation()
    flat = math.log(40)
    words = objective.collapse({"dino": flat, "teacher_entropy": flat, "embedding_std": 0.8})
    assert "output is uniform (teacher_entropy 3.69, ln(40) = 3.69 at most)" in words
    words = objective.collapse({"dino": 4.5, "teacher_entropy": 2.1, "embedding_std": 0.8})
    assert (
        "the loss 4.50 is not below chance (ln(40) = 3.69)" in words
        and "teacher_entropy 2.10" in words
    )
    assert "collapsed" not in words
    words = objective.collapse({"dino": 0.1, "teacher_entropy": 0.0, "embedding_std": 0.01})
    assert "embeddings of different clips are equal" in words
    assert objective.collapse({"dino": 2.0, "embedding_std": 0.8}) is None


def test_the_head_may_have_batch_norm():
    norms = [m for m in DistillationHead(6, 10, 4, 7, True).layers if isinstance(m, nn.BatchNorm1d)]
    assert [m.num_features for m in norms] == [10, 10]
    plain = sum(p.numel() for p in DistillationHead(6, 10, 4, 7).parameters())
    normed = sum(p.numel() for p in DistillationHead(6, 10, 4, 7, True).parameters())
    assert normed == plain + 4 * 10


def test_a_batch_of_one_clip_weighs_nothing():
    objective = distillation().train()
    value, count = objective(faces((5,)), Context(generator=generator())).losses["dino"]
    assert (float(value), count) == (0.0, 0.0)
    assert not objective.centred


@torch.no_grad()
def test_a_teacher_that_says_nothing_gives_the_flat_loss():
    """A very warm softmax is uniform, and so is what the student learns to say."""
    settings = DistillationConfiguration(40, 2, student_temperature=1e4, teacher_temperature=1e4)
    objective = distillation(settings=settings).train()
    step = objective(faces((5,) * 4), Context(generator=generator()))
    metrics = {
        name: float(value) / float(count)
        for name, (value, count) in {**step.losses, **step.metrics}.items()
    }
    assert metrics["teacher_entropy"] == pytest.approx(math.log(40), abs=1e-4)
    assert "output is uniform" in objective.collapse(metrics)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("dino")
    write_store(found / "m.h5", {"face": (25.0, moving_faces())})
    return found


LINE = ("pretrain-dino", "m.h5", "--preset", "nano", "--batch-utterances", 6, "--local-views", 2)


def test_the_chain(folder: Path, tmp_path: Path):
    output = tmp_path / "dino.safetensors"
    found = invoke(folder, *LINE, "--epochs", 3, "--log-every", 1, "-o", output)
    assert "dino loss" in found.stderr and "effective rank" in found.stderr
    header, tensors = checkpoint.load(output, expect="encoder")
    assert header["model"]["name"] == "visual"
    assert header["objective"]["name"] == "self_distillation"
    assert header["objective"]["configuration"]["small_views"] == 2
    assert tensors["objective.student.head.directions.weight"].shape == (512, 32)
    assert tensors["objective.teacher.head.directions.weight"].shape == (512, 32)
    assert tensors["objective.centre"].shape == (512,)
    lines = history(tmp_path / "dino.safetensors.metrics.jsonl")
    assert len(lines) == 6
    assert all(line.keys() >= {"dino", "teacher_entropy", "embedding_std"} for line in lines)
    invoke(folder, "extract", "m.h5", "--model", output, "-o", tmp_path / "f.h5")


def test_what_makes_no_sense_is_said(folder: Path, tmp_path: Path):
    output = ("-o", tmp_path / "x.safetensors")
    for wrong in (
        ("--outputs", 1), ("--local-views", -1), ("--frozen-epochs", -1),
        ("--student-temperature", 0), ("--teacher-temperature", -1), ("--centre-momentum", 1),
    ):  # fmt: skip
        found = invoke(folder, *LINE, *wrong, *output, status=2)
        assert f"{wrong[0]} {wrong[1]}" in found.stderr
