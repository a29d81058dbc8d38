"""A checkpoint keeps what trained its encoder, and `adapt` continues it: every pre-training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke, invoke_stopped
from safetensors.torch import load_file
from stores import write_store
from tiny_training import history

from avaffect.core.checkpoint_header import read_header
from avaffect.data.dataset import dataset_of
from avaffect.data.store.reader import Store
from avaffect.objectives.base import Context, Pretraining
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.pretraining.kept_objective import load_objective
from avaffect.training.device import to_device

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
UNITS = ("--units", "labelled-units.h5", "--units", "pool-units.h5")
QUICK = ("--preset", "nano", "--steps", 3, "--learning-rate", 1e-3)
COMMANDS: dict[str, tuple[object, ...]] = {
    "hubert": ("pretrain-hubert", *UNITS, "--features-penalty", 3, "--unmasked-weight", 0.5),
    "avhubert": ("pretrain-hubert", *UNITS, "--modality", "av", "--modality-dropout", 0.5),
    "apc": ("pretrain-apc", "--shift", 2),
    "cpc": ("pretrain-cpc", "--ahead", 3, "--negatives", 7, "--negatives-from", "batch"),
    "pase": ("pretrain-pase", "--without", "prosody", "--without", "lps"),
    "odd": ("pretrain-odd", "--variant", "group", "--group", 3),
    "l1": ("pretrain-l1", "--odd-weight", 0.33, "--pictures", 2),
    "lira": ("pretrain-lira", "--blocks", 1),
    "mae": ("pretrain-mae", "--pictures", 2, "--mask-audio", 0.5),
    "byol": ("pretrain-byol", "--momentum", 0.9),
    "dino": ("pretrain-dino", "--local-views", 1, "--outputs", 24, "--frozen-epochs", 0),
}
LOSSES = {
    "hubert": {"masked", "unmasked", "features_penalty"},
    "avhubert": {"masked", "features_penalty"},
    "apc": {"prediction"},
    "cpc": {"contrastive"},
    "pase": {"waveform", "mfcc", "fbank", "lim", "gim"},
    "odd": {"odd"},
    "l1": {"video", "odd"},
    "lira": {"acoustic"},
    "mae": {"audio", "video", "contrast"},
    "byol": {"byol"},
    "dino": {"dino"},
}

TASKS = {
    **dict.fromkeys(("hubert", "avhubert", "adapted"), "masked_prediction"),
    "apc": "autoregressive_prediction",
    "cpc": "contrastive_prediction",
    "pase": "problem_agnostic",
    "odd": "odd_one_out",
    "l1": "face_reconstruction",
    "lira": "acoustic_prediction",
}
# A weight of the head as it is called now, and as version 0.1 called it.
HEADS = {
    "masked_prediction": ("final_proj.weight", "final_proj.weight"),
    "autoregressive_prediction": ("objective.head.weight", "prediction.weight"),
    "contrastive_prediction": ("objective.head.weight", "contrastive.weight"),
    "problem_agnostic": (
        "objective.workers.mfcc.layers.0.weight", "workers.mfcc.layers.0.weight",
    ),
    "odd_one_out": ("objective.head.layers.1.weight", "odd.layers.1.weight"),
    "face_reconstruction": (
        "objective.face.decoder.picture.weight", "video.face.decoder.picture.weight",
    ),
    "acoustic_prediction": ("objective.output.weight", "acoustic.output.weight"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Talking faces, a retrieval among them, and encoders of version 0.1."""
    return Path(shutil.copytree(WRITTEN, tmp_path_factory.mktemp("kept") / "v0.1"))


@pytest.fixture(scope="module")
def pretrained(folder: Path) -> Callable[[str], tuple[Path, Pretraining]]:
    """The checkpoint that a pre-training wrote, and the objective that it had trained."""
    found: dict[str, tuple[Path, Pretraining]] = {}

    def trained(name: str) -> tuple[Path, Pretraining]:
        if name not in found:
            seen: list[Pretraining] = []
            save = checkpoints.save_encoder

            def keep(output, encoder, objective, *others, **facts):
                seen.append(objective)
                return save(output, encoder, objective, *others, **facts)

            command, *options = COMMANDS[name]
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(checkpoints, "save_encoder", keep)
                invoke(folder, command, "labelled.h5", "pool.h5", *QUICK, *options,
                       "-o", f"new-{name}.safetensors")  # fmt: skip
            found[name] = (folder / f"new-{name}.safetensors", seen[0])
        return found[name]

    return trained


def losses(objective: Pretraining, folder: Path, training: bool) -> dict[str, tuple[float, float]]:
    """Of the pool as one batch."""
    stores = [Store(folder / "pool.h5"), Store(folder / "pool-units.h5")]
    dataset = dataset_of(
        stores[:1], stores[0].ids, ("waveform", "face", "units"), others=stores[1:]
    )
    batch = to_device(dataset.batch(np.arange(len(dataset))), torch.device("cpu"))
    torch.manual_seed(1)
    objective.train(training)
    with torch.no_grad():
        step = objective(batch, Context(generator=torch.Generator().manual_seed(2)))
    return {name: (float(value), float(count)) for name, (value, count) in step.losses.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_loss_is_that_of_the_pre_training(name, folder, pretrained):
    path, own = pretrained(name)
    back = load_objective(path, "", {"clusters": 5})
    assert type(back) is type(own) and back.configuration == own.configuration
    assert back.weights == own.weights and back.coupled == own.coupled
    state, other = own.state_dict(), back.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in state.items())
    for training in (False, True):
        found = losses(back, folder, training)
        assert found.keys() == LOSSES[name] and all(count > 0 for _, count in found.values())
        assert found == losses(own, folder, training)
        # In training buffers moved alike: targets gathered, centres, batch norm.
        assert all(torch.equal(v, back.state_dict()[k]) for k, v in own.state_dict().items())
    own.load_state_dict(other)


@pytest.mark.parametrize("name", COMMANDS)
def test_adapt_continues_it(name, folder, pretrained, tmp_path):
    path, _ = pretrained(name)
    output = tmp_path / "adapted.safetensors"
    line = ("adapt", "retrieved.jsonl", "--encoder", path, "--learning-rate", 1e-3)
    words = invoke(folder, *line, "--steps", 2, "--log-every", 1, "-o", output).stderr
    assert "L_EC" in words and "L_PT" in words
    lines = history(tmp_path / "adapted.safetensors.metrics.jsonl")
    assert all(LOSSES[name] | {"emotion", "domain"} <= line.keys() for line in lines)
    before, after = (read_header(p) for p in (path, output))
    assert after["objective"] == before["objective"]
    roles = [entry["role"] for entry in after["provenance"]["inputs"]]
    assert ("quantiser" in roles) == (name in ("hubert", "avhubert"))
    weights, adapted = load_file(path), load_file(output)
    kept = {n for n in adapted if not n.startswith(("emotion_classifier.", "domain_classifier."))}
    assert kept == weights.keys()
    trained = {n for n in kept if not torch.equal(weights[n], adapted[n])}
    assert any(n.startswith(("objective.", "final_proj.")) for n in trained)
    # What it wrote goes on once more.
    invoke(folder, "adapt", "retrieved.jsonl", "--encoder", output, "--steps", 1,
           "-o", tmp_path / "again.safetensors")  # fmt: skip


def continued(
    name: str, folder: Path, before: Path, output: Path, *options: object, steps: int = 0
) -> str:
    """What pre-training says that goes on from a checkpoint."""
    command, *own = COMMANDS[name]
    return invoke(folder, command, "labelled.h5", "pool.h5", "--init", before, "--steps", steps,
                  *own, *options, "-o", output).stderr  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_pre_training_continues_it(name, folder, pretrained, tmp_path):
    path, _ = pretrained(name)
    output, fresh = tmp_path / "on.safetensors", tmp_path / "fresh.safetensors"
    assert f"objective continued from {path}" in continued(name, folder, path, output)
    weights, same = load_file(path), load_file(output)
    assert weights.keys() == same.keys()
    assert all(torch.equal(value, same[key]) for key, value in weights.items())
    assert read_header(output)["objective"] == read_header(path)["objective"]
    assert "new heads: --reset-head" in continued(name, folder, path, fresh, "--reset-head")
    new, encoder = load_file(fresh), checkpoints.load_encoder(path, torch.device("cpu"))[0]
    assert weights.keys() == new.keys()
    changed = {key for key, value in weights.items() if not torch.equal(value, new[key])}
    assert changed and not changed & encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "other", "options", "holds"),
    [
        ("odd", "apc", (), "autoregressive prediction"),
        ("apc", "apc", ("--shift", 4), "autoregressive prediction with shift 2"),
        ("cpc", "cpc", ("--ahead", 4), "contrastive prediction with ahead 3"),
        ("dino", "byol", (), "bootstrap"),
        ("lira", "lira", ("--blocks", 2), "acoustic prediction with other conformer"),
    ],
)
def test_heads_of_another_objective_are_new(
    name, other, options, holds, folder, pretrained, tmp_path
):
    path, _ = pretrained(other)
    words = continued(name, folder, path, tmp_path / "on.safetensors", *options)
    assert f"new heads: {path} holds {holds}\n" in words
    weights, new = load_file(path), load_file(tmp_path / "on.safetensors")
    encoder = checkpoints.load_encoder(path, torch.device("cpu"))[0].state_dict()
    assert all(torch.equal(weights[key], new[key]) for key in encoder)


@pytest.mark.parametrize("name", ["byol", "dino"])
def test_teachers_move(name, folder, pretrained, tmp_path):
    """By the momentum that they were made with, towards the student that is adapted."""
    path, _ = pretrained(name)
    output = tmp_path / "adapted.safetensors"
    invoke(folder, "adapt", "retrieved.jsonl", "--encoder", path, "--learning-rate", 0.1,
           "--steps", 1, "-o", output)  # fmt: skip
    weights, adapted = load_file(path), load_file(output)
    own = "resnet.trunk.layer1.0.conv1.weight"
    teacher = f"objective.teacher.encoder.{own}"
    assert not torch.equal(weights[own], adapted[own])
    momentum = {"byol": 0.9, "dino": 0.996}[name]
    # One step: half of training is over.
    momentum = 1 - (1 - momentum) / 2
    expected = momentum * weights[teacher] + (1 - momentum) * adapted[own]
    torch.testing.assert_close(adapted[teacher], expected)
    assert not torch.equal(adapted[teacher], weights[teacher])


def test_teachers_go_on_from_where_they_were(folder, pretrained, tmp_path, monkeypatch):
    """In a continued pre-training, and in one that is stopped after each step and resumed."""
    path, _ = pretrained("byol")
    output, parts = tmp_path / "on.safetensors", tmp_path / "parts.safetensors"
    line = ("--learning-rate", 0.1, "--momentum", 0.9)
    continued("byol", folder, path, output, *line, steps=1)
    weights, after = load_file(path), load_file(output)
    own = "resnet.trunk.layer1.0.conv1.weight"
    teacher = f"objective.teacher.encoder.{own}"
    # One step: half of training is over.
    expected = 0.95 * weights[teacher] + 0.05 * after[own]
    torch.testing.assert_close(after[teacher], expected)
    whole = (*COMMANDS["byol"], "labelled.h5", "pool.h5", "--init", path, *line, "--steps", 2)
    invoke(folder, *whole, "-o", output, "-f")
    invoke_stopped(folder, *whole, "-o", parts, stops=2, monkeypatch=monkeypatch)
    assert output.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize("name", [*(name for name in COMMANDS if name != "mae"), "adapted"])
def test_encoders_of_version_0_1_are_adapted_where_they_kept_their_task(name, folder, tmp_path):
    old = f"{name}.safetensors"
    line = ("adapt", "retrieved.jsonl", "--encoder", old, "--steps", 1)
    line = (*line, "-o", tmp_path / "x.safetensors")
    if name in ("byol", "dino"):
        # Its teacher was not written.
        words = invoke(folder, *line, status=65).stderr
        assert f"avaffect pretrain-{name}" in words and "--without pt" in words and old in words
        invoke(folder, *line, "--without", "pt")
        assert "objective" not in read_header(tmp_path / "x.safetensors")
        return
    invoke(folder, *line)
    adapted, before = load_file(tmp_path / "x.safetensors"), load_file(folder / old)
    assert read_header(tmp_path / "x.safetensors")["objective"]["name"] == TASKS[name]
    # The head went on from where it was, at the rate of the encoder.
    head, earlier = HEADS[TASKS[name]]
    assert 0 < (adapted[head] - before[earlier]).abs().max() < 1e-3


def test_a_pool_without_the_stream(folder, pretrained, tmp_path):
    """Faces for L1: the store is named, and what to do."""
    path, _ = pretrained("l1")
    for left in ("labelled.h5", "queries.h5", "projector.safetensors", "avhubert.safetensors"):
        shutil.copy(folder / left, tmp_path / left)
    pool = Store(folder / "pool.h5")
    sounds = [pool.read("waveform", row) for row in range(len(pool.ids))]
    write_store(tmp_path / "pool.h5", {"waveform": (16000.0, sounds)})
    invoke(tmp_path, "extract", "pool.h5", "--model", "projector.safetensors", "-o", "e.h5")
    invoke(tmp_path, "retrieve", "--query", "queries.h5", "--pool", "e.h5", "--draws", 2,
           "-o", "r.jsonl")  # fmt: skip
    line = ("adapt", "r.jsonl", "--encoder", path, "--steps", 1, "-o", "x.safetensors")
    words = invoke(tmp_path, *line, status=65).stderr
    assert "pool.h5" in words and "'face'" in words and "--without pt" in words
    assert "labelled.h5" not in words
    assert not (tmp_path / "x.safetensors").exists()
    invoke(tmp_path, *line, "--without", "pt")


def test_an_encoder_that_keeps_no_task(folder, pretrained, tmp_path):
    path, _ = pretrained("apc")
    bare = tmp_path / "bare.safetensors"
    line = ("adapt", "retrieved.jsonl", "--steps", 1, "--encoder")
    invoke(folder, *line, path, "--without", "pt", "-o", bare)
    words = invoke(folder, *line, bare, "-o", tmp_path / "x.safetensors", status=65).stderr
    assert "bare.safetensors" in words and "--without pt" in words
    words = invoke(folder, *line, path, *UNITS, "-o", tmp_path / "x.safetensors", status=2).stderr
    assert "--units" in words


def test_what_ties_a_batch_together_is_not_divided(folder, pretrained, tmp_path):
    for name, status in (("byol", 2), ("cpc", 2), ("apc", 0)):
        path, _ = pretrained(name)
        line = ("adapt", "retrieved.jsonl", "--encoder", path, "--accumulate", 2, "--steps", 1)
        invoke(folder, *line, "-o", tmp_path / "x.safetensors", status=status)
    # Three clips make a group; a query and what it drew are two.
    path, _ = pretrained("odd")
    line = ("adapt", "retrieved.jsonl", "--encoder", path, "--batch-utterances", 2, "--steps", 1)
    words = invoke(folder, *line, "-o", tmp_path / "y.safetensors", status=65).stderr
    assert "compares 3" in words
