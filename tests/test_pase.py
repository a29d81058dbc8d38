"""PASE: the workers and their tasks, the command."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from chain import check_stopped_and_resumed, invoke
from stores import write_store
from torch import nn
from waves import TINY_PASE, generator, noise_batch

from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.encoder import Frames
from avaffect.models.pase import PRESETS, PaseEncoder
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
from avaffect.objectives.problem_agnostic import ProblemAgnostic, ProblemAgnosticConfiguration
from avaffect.settings.pretrain_pase import WORKERS
from avaffect.signal.acoustic_targets import acoustic_targets
from avaffect.training import checkpoint


def context(seed: int = 0) -> Context:
    return Context(generator=generator(seed))


@pytest.fixture
def encoder() -> PaseEncoder:
    torch.manual_seed(0)
    return PaseEncoder(TINY_PASE)


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
    objective = ProblemAgnostic(encoder, ProblemAgnosticConfiguration(("mfcc", "lim")))
    assert objective.weights == {"mfcc": 0.5, "lim": 0.5}
    objective.eval()(noise_batch(8000), context())
    assert int(objective.gathered) == 0
    objective.train()
    for _ in range(3):
        objective(noise_batch(8000, 7000, 6000), context())
    assert int(objective.gathered) == 6
    assert int(objective.workers["mfcc"].standardisation.rows) == 2 * (48 + 42 + 36)
    with pytest.raises(ValueError, match="choose from"):
        ProblemAgnostic(encoder, ProblemAgnosticConfiguration(("mfcc", "nothing")))


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
def folder(voices, tmp_path_factory):
    found = tmp_path_factory.mktemp("pase")
    shutil.copy(voices / "a.h5", found)
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
    assert header["objective"]["configuration"]["workers"] == list(WORKERS)
    assert tensors["objective.workers.mfcc.standardisation.mean"].shape == (39,)
    assert tensors["objective.workers.waveform.standardisation.std"].shape == (1,)
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
    check_stopped_and_resumed(folder, *RUN, folder=tmp_path, stops=3, monkeypatch=monkeypatch)


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
    assert "no utterance has 0.215 s of waveform" in invoke(folder, *line, "short.h5",
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
