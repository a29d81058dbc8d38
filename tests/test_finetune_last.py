"""finetune --last: the last epoch beside the selected one, from one training."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import labelled_features
import pytest
import torch
from chain import invoke

from avaffect.recipes.downstream import finetuning
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.downstream.partitions import Division
from avaffect.training import checkpoint
from avaffect.training.run import Run

RUN = ("finetune", "f.h5", "--label", "emotion", "--epochs", 6, "--least-steps", 0,
       "--batch-utterances", 8, "--head-learning-rate", 0.05, "--runs", 2)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """best.st and last.st of one training; alone.st and none.st of two others."""
    found = tmp_path_factory.mktemp("last")
    labelled_features.write(found / "f.h5")
    invoke(found, *RUN, "--select", "ua", "--last", "last.st", "-o", "best.st")
    invoke(found, *RUN, "--select", "ua", "-o", "alone.st")
    invoke(found, *RUN, "--select", "none", "-o", "none.st")
    return found


def read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    return checkpoint.load(path)


def test_both_are_what_a_training_of_their_own_gives(folder: Path) -> None:
    """Bit for bit; the provenance of the last epoch is that of --select none."""
    for one, other in (("best", "alone"), ("last", "none")):
        (header, tensors), (expected, own) = (read(folder / f"{n}.st") for n in (one, other))
        assert tensors.keys() == own.keys()
        assert all(torch.equal(tensors[name], own[name]) for name in own)
        assert header["provenance"] == expected["provenance"]
    best, last = (read(folder / f"{name}.st") for name in ("best", "last"))
    assert any(not torch.equal(best[1][name], last[1][name]) for name in best[1])
    for run, of_last in zip(best[0]["runs"], last[0]["runs"], strict=True):
        assert of_last["metrics"]["development"]["epoch"] == 6
        assert run["metrics"]["development"]["ua"] >= of_last["metrics"]["development"]["ua"]


def test_predictions_of_both_make_two_rows(folder: Path) -> None:
    for name in ("best", "last"):
        invoke(folder, "predict", "f.h5", "--model", f"{name}.st", "--split", "test",
               "-o", f"{name}.jsonl", "-f")  # fmt: skip
    found = invoke(folder, "compare", "best.jsonl", "last.jsonl", "--score", "ua").stdout
    assert [line.split("\t")[0] for line in found.splitlines()] == ["name", "best", "last"]


def test_what_is_there_already(folder: Path) -> None:
    again = (*RUN, "--select", "ua", "--last", "last.st", "-o", "best.st")
    assert "up to date" in invoke(folder, *again).stderr
    invoke(folder, *RUN, "--select", "ua", "--last", "alone.st", "-o", "new.st", status=73)
    assert not (folder / "new.st").exists()
    # An output that is up to date does not make another training's last epoch its own.
    words = invoke(folder, *RUN, "--select", "ua", "--last", "alone.st", "-o", "best.st", status=73)
    assert "alone.st" in words.stderr
    words = invoke(folder, *RUN, "--select", "ua", "--last", "gone.st", "-o", "best.st").stderr
    assert "gone.st" in words and not (folder / "gone.st").exists()


def test_last_is_asked_for_when_a_run_is_finished(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted command goes on with --last that began without."""
    shutil.copy(folder / "f.h5", tmp_path)
    trained = finetuning.train_run

    def stopped(material: Material, division: Division, run: Run, path: Path) -> None:
        if division.run == 1:
            signal.raise_signal(signal.SIGTERM)
        trained(material, division, run, path)

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "train_run", stopped)
        invoke(tmp_path, *RUN, "--select", "ua", "-o", "best.st", status=75)
    state = tmp_path / "best.st.state"
    assert (state / "run-0.safetensors").exists() and not (state / "run-1.safetensors").exists()
    invoke(tmp_path, *RUN, "--select", "ua", "--last", "last.st", "-o", "best.st")
    for name in ("best", "last"):
        expected, found = (read(where / f"{name}.st")[1] for where in (folder, tmp_path))
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_mistakes(folder: Path) -> None:
    for options in (("--last", "x.st", "--select", "none"), ("--last", "x.st", "--bundle"),
                    ("--last", "y.st"), ("--last", "other/x.st"),
                    ("--last", "x.st", "--head", "svm")):  # fmt: skip
        invoke(folder, *RUN[:4], *options, "-o", "y.st", status=2)
    assert not (folder / "x.st").exists() and not (folder / "y.st").exists()
