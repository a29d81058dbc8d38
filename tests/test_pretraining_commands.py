"""Odd-One-Out and its relatives on the command line: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from stores import write_store

from avaffect.core.errors import UsageError
from avaffect.data.store.reader import Store
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives.jumbling import FEWEST_STEPS, fits, swap_order, window_length
from avaffect.objectives.odd_one_out import OddOneOut, OddOneOutConfiguration
from avaffect.settings.base import semantic
from avaffect.settings.pretrain_l1 import PretrainL1Settings
from avaffect.settings.pretrain_odd import PretrainOddSettings

TASK = ("--preset", "nano", "--steps", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten voices of a second, and one alone."""
    found = tmp_path_factory.mktemp("commands")
    random = np.random.default_rng(0)
    sounds = [random.integers(-9000, 9000, 16000).astype(np.int16) for _ in range(10)]
    write_store(found / "a.h5", {"waveform": (16000.0, sounds)})
    write_store(found / "one.h5", {"waveform": (16000.0, sounds[:1])})
    return found


@pytest.mark.parametrize("length", [2, 3, 5, 7, 99, 100])
def test_windows_of_half_a_clip_fit_clips_of_odd_length(length):
    width = window_length(length, 0.5)
    assert width == length // 2
    assert fits(length)
    order = swap_order(
        torch.tensor([length]), torch.tensor([True]), length, torch.Generator().manual_seed(0), 0.5
    )
    assert sorted(order[0].tolist()) == list(range(length))
    assert (order[0] != torch.arange(length)).sum() == 2 * width


def test_shorter_windows_are_as_long_as_they_were():
    assert [window_length(length) for length in (2, 3, 10, 17, 20, 100)] == [1, 1, 2, 3, 3, 15]
    assert not fits(FEWEST_STEPS - 1)


# -- batches that teach nothing -------------------------------------------------------------------


def test_groups_that_no_batch_can_hold(folder, tmp_path):
    line = ("pretrain-odd", "a.h5", *TASK, "--variant", "group", "-o", tmp_path / "x.safetensors")
    words = invoke(folder, *line, "--batch-utterances", 8, "--group", 9, status=2).stderr
    assert "--group 9" in words and "--batch-utterances 8" in words
    words = invoke(folder, *line, "--group", 3, "--batch-seconds", 2.5, status=65).stderr
    assert "largest batch has 2 utterances" in words and "--batch-seconds" in words
    assert list(tmp_path.iterdir()) == []
    invoke(folder, *line, "--group", 3, "--batch-seconds", 3.5)


def test_options_of_the_other_variant_are_refused():
    for wrong, word in (
        ({"group": 4}, "--group goes with --variant group"),
        ({"variant": "group", "share": 0.25}, "--share goes with --variant clip"),
        ({"batch_utterances": 1}, "--batch-utterances 1: at least 2"),
        ({"variant": "group", "batch_utterances": 3}, "--group 4"),
    ):
        with pytest.raises(UsageError, match=word):
            PretrainOddSettings(media=(), **wrong)
    # What is said by default is the same run.
    for given in ({"share": 0.25}, {"variant": "group", "group": 4}):
        bare = {name: value for name, value in given.items() if name == "variant"}
        assert semantic(PretrainOddSettings(media=(), **given)) == semantic(
            PretrainOddSettings(media=(), **bare)
        )


def test_a_clip_alone_is_nothing_to_learn_from(folder, tmp_path):
    line = ("pretrain-odd", "one.h5", *TASK, "-o", tmp_path / "x.safetensors")
    assert "compares 2" in invoke(folder, *line, status=65).stderr


def test_no_checkpoint_where_no_loss_was_counted(folder, tmp_path, monkeypatch):
    def nothing(self, lengths, generator):
        return torch.zeros(len(lengths), dtype=torch.bool), torch.zeros(0, 4, dtype=torch.long)

    monkeypatch.setattr(OddOneOut, "draw", nothing)
    words = invoke(tmp_path, "pretrain-odd", folder / "a.h5", *TASK, "--variant", "group",
                   "-o", "x.safetensors", status=65).stderr  # fmt: skip
    assert "in 2 steps the loss odd" in words
    assert not (tmp_path / "x.safetensors").exists()
    assert not (tmp_path / "x.safetensors.state").exists()


@pytest.mark.parametrize(("clips", "expected"), [(1, 1), (2, 1), (4, 3), (10, 9)])
def test_one_clip_stays_intact(clips, expected):
    encoder = RecurrentEncoder(RecurrentConfiguration(bands=80, layers=1, hidden=4, dim=4))
    objective = OddOneOut(encoder, OddOneOutConfiguration(share=0.9))
    odd, _ = objective.draw(torch.tensor([50] * clips), torch.Generator().manual_seed(0))
    assert odd.sum() == expected


# -- L1 -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Talking faces with splits."""
    found = tmp_path_factory.mktemp("faces")
    invoke(found, "split", films / "a.jsonl", "--ratios", 34, 33, 33, "-o", "s.jsonl")
    invoke(found, "preprocess", "s.jsonl", "--size", 32, "-o", "s.h5")
    return found


def test_alpha_and_odd_weight_are_one_number():
    found = [
        PretrainL1Settings(media=(), **given)
        for given in ({"alpha": 0.67}, {"odd_weight": 0.33}, {"alpha": 0.67, "odd_weight": 0.33})
    ]
    assert [semantic(one)["alpha"] for one in found] == [0.67] * 3
    assert found[0] == found[1] == found[2]
    assert PretrainL1Settings(media=(), odd_weight=0.0) == PretrainL1Settings(media=())
    with pytest.raises(UsageError, match="--batch-utterances 1"):
        PretrainL1Settings(media=(), odd_weight=0.33, batch_utterances=1)
    PretrainL1Settings(media=(), batch_utterances=1)


def test_films_of_unseen_faces_now_or_later(faces, tmp_path):
    line = ("pretrain-l1", "s.h5", *TASK, "-o", tmp_path / "l1.safetensors")
    words = invoke(faces, *line, "--alpha", 0.67, "--preview", tmp_path / "now").stderr
    store = Store(faces / "s.h5")
    unseen = [n for n, split in zip(store.ids, store.meta["split"]) if split == "development"]
    assert len(unseen) == 4 and "8 videos" in words
    expected = sorted(f"{start}{name}.mp4" for name in unseen for start in ("", "still-"))
    made = {path.name: path.read_bytes() for path in (tmp_path / "now").iterdir()}
    assert sorted(made) == expected
    # The encoder is there: the same films, from the generator beside it.
    before = (tmp_path / "l1.safetensors").read_bytes()
    again = (*line, "--odd-weight", 0.33, "--preview", tmp_path / "later" / "films")
    invoke(faces, *again, "--dry-run")
    assert not (tmp_path / "later").exists()
    words = invoke(faces, *again).stderr
    assert "up to date" in words and "8 videos" in words
    assert {path.name: path.read_bytes() for path in (tmp_path / "later/films").iterdir()} == made
    assert (tmp_path / "l1.safetensors").read_bytes() == before
    invoke(faces, *line, "--alpha", 0.67, "--split", "all", "-f", "--preview", tmp_path / "all")
    seen = {path.name for path in (tmp_path / "all").glob("*.mp4")}
    assert len(seen) == 8 and not seen <= set(expected)


def test_films_that_cannot_be_are_refused_before_training(faces, tmp_path):
    (tmp_path / "file").write_text("")
    line = ("pretrain-l1", "s.h5", "--preset", "nano", "-o", tmp_path / "l1.safetensors")
    for name in ("file", "file/below"):
        words = invoke(faces, *line, "--steps", 1, "--preview", tmp_path / name, status=2).stderr
        assert "is a file; give a folder" in words
    words = invoke(faces, *line, "--steps", 0, "--preview", tmp_path / "films", status=2).stderr
    assert "--preview and --steps 0" in words
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- what every task says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "options", "samples"),
    [
        # Windows of 400 samples every 160.
        ("pretrain-odd", (), 400 + 160),
        ("pretrain-apc", ("--shift", 2), 400 + 2 * 160),
        ("pretrain-pase", (), 400 + 19 * 160),
        # Five convolutions, each of twice its stride.
        ("pretrain-cpc", ("--ahead", 2), 5 * (4 * (2 * (2 * (2 * 4 + 1) + 1) + 1) + 1)),
        ("pretrain-l1", (), 400 + 7 * 160),
    ],
    ids=str,
)
def test_what_an_utterance_needs_is_what_is_said(tmp_path, command, options, samples):
    """In milliseconds, rounded up; one sample less than what is needed is not enough."""
    line = (command, "s.h5", *TASK[:2], *options, "--steps", 1, "-o", "x.safetensors")

    def of_length(count: int) -> None:
        sounds = np.random.default_rng(0).integers(-9000, 9000, (4, count)).astype(np.int16)
        faces = np.ones((4, 3, 16, 16, 1), np.uint8)
        streams = {"waveform": (16000.0, list(sounds))}
        if command == "pretrain-l1":
            streams["face"] = (25.0, list(faces))
        write_store(tmp_path / "s.h5", streams)

    of_length(300)
    words = invoke(tmp_path, *line, status=65).stderr
    said = float(words.split("no utterance has ")[1].split(" s of waveform")[0])
    assert samples <= said * 16000 < samples + 16
    of_length(samples - 1)
    assert "no utterance has" in invoke(tmp_path, *line, status=65).stderr
    of_length(samples)
    invoke(tmp_path, *line)


def test_an_encoder_of_another_kind_is_named_by_its_command(folder, tmp_path):
    cpc = tmp_path / "cpc.safetensors"
    invoke(folder, "pretrain-cpc", "a.h5", "--preset", "nano", "--steps", 0, "-o", cpc)
    words = invoke(folder, "pretrain-apc", "a.h5", "--steps", 1, "--init", cpc,
                   "-o", tmp_path / "x.safetensors", status=65).stderr  # fmt: skip
    assert "was made by pretrain-cpc" in words and "pretrain-apc trains" in words
    assert "Encoder" not in words
