"""`train`: the plain chain in one command, on voices made from a seed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from chain import VOICES, invoke
from forked import client

from avaffect.data import manifest

QUICK = ("--epochs", 2, "-j", 1)
MADE = {
    "commands.sh", "corpus.jsonl", "explored.json", "features.h5", "model.safetensors",
    "model.safetensors.metrics.jsonl", "predictions.jsonl", "recordings.h5", "report.html",
    "scores.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all.jsonl, of six speakers; trained/, on it."""
    folder = tmp_path_factory.mktemp("train")
    invoke(folder, "synth", "wav", "--utterances", 24, *VOICES, "-o", "all.jsonl")
    invoke(folder, "train", "all.jsonl", *QUICK)
    return folder


def changed(folder: Path, name: str, change: object) -> None:
    """A copy of all.jsonl under a name, whose items `change` has changed."""
    source = manifest.read(folder / "all.jsonl")
    for item in source.items:
        change(item)  # type: ignore[operator]
    manifest.write(folder / name, source.header, source.items)


def test_it_makes_all_and_again_nothing(folder: Path) -> None:
    assert {path.name for path in (folder / "trained").iterdir()} == MADE
    before = {path: path.read_bytes() for path in (folder / "trained").iterdir()}
    found = invoke(folder, "train", "all.jsonl", *QUICK)
    assert found.stderr.count("is up to date") == len(MADE) - 1
    assert {path: path.read_bytes() for path in before} == before
    shown = invoke(folder, "eval-class", "trained/predictions.jsonl", "--confidence", 95)
    assert found.stdout == shown.stdout


def test_its_script_is_the_same_work(folder: Path, tmp_path: Path) -> None:
    """In another folder, from the shell: the same model and scores."""
    (tmp_path / "wav").symlink_to(folder / "wav")
    (tmp_path / "all.jsonl").write_bytes((folder / "all.jsonl").read_bytes())
    script = (folder / "trained" / "commands.sh").read_text()
    assert script == _script(invoke(folder, "train", "all.jsonl", *QUICK, "-n").stdout)
    (tmp_path / "trained").mkdir()
    path = f"{client().parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, env={**os.environ, "PATH": path})
    for name in ("model.safetensors", "scores.json"):
        ours, theirs = (at / "trained" / name for at in (tmp_path, folder))
        assert ours.read_bytes() == theirs.read_bytes()


def _script(printed: str) -> str:
    head = "#!/bin/sh\n# The commands of `avaffect train`, each with options of its own.\nset -e\n"
    return head + printed


def test_from_a_pipe_and_without_speakers(folder: Path, tmp_path: Path) -> None:
    """What is piped is kept; unknown speakers are said to be."""
    changed(folder, "anyone.jsonl", lambda item: item.pop("speaker"))
    piped = (folder / "anyone.jsonl").read_text()
    said = invoke(folder, "train", *QUICK, "-o", tmp_path / "t", stdin=piped).stderr
    assert {path.name for path in (tmp_path / "t").iterdir()} == MADE | {"listed.jsonl"}
    assert "leakage" in said and "--by recording" in said
    assert "up to date" in invoke(folder, "train", *QUICK, "-o", tmp_path / "t", stdin=piped).stderr


def test_a_division_that_is_there_is_kept(folder: Path, tmp_path: Path) -> None:
    invoke(folder, "split", "all.jsonl", "--folds", 3, "-o", "folds.jsonl")
    invoke(folder, "train", "folds.jsonl", *QUICK, "-o", tmp_path / "t")
    assert not (tmp_path / "t" / "corpus.jsonl").exists()
    scores = json.loads((tmp_path / "t" / "scores.json").read_text())
    assert scores["count"] == 24


@pytest.mark.parametrize("lacking", ["train", "test"])
def test_a_division_without_a_part_is_refused_at_once(
    lacking: str, folder: Path, tmp_path: Path
) -> None:
    other = {"train": "test", "test": "train"}[lacking]
    changed(folder, f"no-{lacking}.jsonl", lambda item: item.update(split=other))
    given = ("train", f"no-{lacking}.jsonl", *QUICK, "-o", tmp_path / "t")
    assert f"split {lacking}" in invoke(folder, *given, status=65).stderr
    assert not (tmp_path / "t").exists()


def test_numbers_are_learned_and_scored(folder: Path, tmp_path: Path) -> None:
    source = manifest.read(folder / "all.jsonl")
    for number, item in enumerate(source.items):
        item["labels"] = {"arousal": number % 5 / 4}
    header = manifest.new_header(
        "corpus", base=source.header.base, corpus="a", labels={"arousal": {"kind": "scalar"}}
    )
    manifest.write(folder / "rated.jsonl", header, source.items)
    found = invoke(folder, "train", "rated.jsonl", *QUICK, "-o", tmp_path / "t")
    assert "ccc" in found.stdout
    assert (tmp_path / "t" / "scores.json").exists()


def test_after_a_mistake_the_same_folder_serves(folder: Path, tmp_path: Path) -> None:
    given = ("train", "all.jsonl", *QUICK, "-o", tmp_path / "t")
    invoke(folder, *given, "--classes", "anger,loathing", status=65)
    found = invoke(folder, *given)
    assert found.stderr.count("is up to date") == 4
    assert "loathing" not in (tmp_path / "t" / "commands.sh").read_text()
    # Now it is the folder of a training.
    invoke(folder, *given, "--classes", "anger,loathing", status=73)


def test_device_and_processes_make_no_other_training(folder: Path) -> None:
    before = (folder / "trained" / "commands.sh").read_bytes()
    given = ("train", "all.jsonl", "--epochs", 2, "-j", 2, "--device", "cpu")
    assert invoke(folder, *given).stderr.count("is up to date") == len(MADE) - 1
    assert (folder / "trained" / "commands.sh").read_bytes() == before


def test_a_folder_of_another_training(folder: Path) -> None:
    found = invoke(folder, "train", "all.jsonl", *QUICK, "--seed", 1, status=73)
    assert "commands.sh" in found.stderr and "--force" in found.stderr


def test_an_encoder_reads_the_recordings(folder: Path, tmp_path: Path) -> None:
    invoke(folder, "pretrain-apc", "trained/recordings.h5", "--preset", "nano", "--steps", 0,
           "-o", "apc.safetensors")  # fmt: skip
    invoke(folder, "train", "all.jsonl", "--encoder", "apc.safetensors", "--mode", "frozen", *QUICK,
           "-o", tmp_path / "t")  # fmt: skip
    assert not (tmp_path / "t" / "features.h5").exists()
    sounds = sorted(map(str, (folder / "wav").rglob("*.wav")))[:2]
    # The model needs no other file.
    moved = (tmp_path / "t" / "model.safetensors").rename(tmp_path / "m.safetensors")
    (folder / "apc.safetensors").unlink()
    rows = invoke(tmp_path, "predict", *sounds, "--model", moved, "--format", "csv").stdout
    assert len(rows.splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--label", "mood"), "mood"),
        (("--encoder", "x.safetensors", "--front-end", "mfcc"), "--front-end"),
        (("--mode", "lora"), "--encoder"),
        (("--faces", "yunet"), "no faces"),
        (("-o", "all.jsonl"), "folder"),
        (("--front-end", "melspec"), "mfcc"),
    ],
)
def test_what_cannot_be(
    options: tuple[object, ...], named: str, folder: Path, tmp_path: Path
) -> None:
    given = options if "-o" in options else (*options, "-o", tmp_path / "t")
    assert named in invoke(folder, "train", "all.jsonl", *given, status=2).stderr
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("labels", [{}, {"mood": {"kind": "class"}, "age": {"kind": "scalar"}}])
def test_a_label_that_is_not_clear(labels: dict, folder: Path, tmp_path: Path) -> None:
    header = manifest.new_header("corpus", base=str(folder), corpus="a", labels=labels)
    manifest.write(tmp_path / "m.jsonl", header, manifest.read(folder / "all.jsonl").items)
    found = invoke(tmp_path, "train", "m.jsonl", status=2).stderr
    assert "--label" in found and all(name in found for name in labels)
