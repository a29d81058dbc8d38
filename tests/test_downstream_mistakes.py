"""finetune, predict and extract asked for what cannot be, or what would be left unsaid."""

from __future__ import annotations

from pathlib import Path

import labelled_features
import pytest
from chain import invoke

from avaffect.data.store import Store
from avaffect.recipes import common

QUICK = ("--epochs", 1, "--batch-utterances", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_features.write(tmp_path / "f.h5")
    return tmp_path


# -- predict --------------------------------------------------------------------------------------


def test_a_split_that_was_asked_for_is_not_everything(folder: Path) -> None:
    """Without splits nothing is in one, whatever its name."""
    labelled_features.write(folder / "folds.h5", fields=("speaker", "fold"))
    labelled_features.write(folder / "bare.h5", fields=())
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    predict = ("predict", "--model", "er.safetensors")
    for split in ("test", "foo"):
        for name, there in (("folds", "folds"), ("bare", "none")):
            found = invoke(folder, *predict, f"{name}.h5", "--split", split, status=65)
            assert f"{name}.h5: no utterance is in the split '{split}'" in found.stderr
            assert f"(there are: {there})" in found.stderr and not found.stdout
    found = invoke(folder, *predict, "f.h5", "--split", "foo", status=65).stderr
    assert "(there are: development, test, train)" in found
    for options in (("bare.h5",), ("bare.h5", "--split", "all")):
        assert invoke(folder, *predict, *options).stdout.count('"kind":"item"') == 48
    assert invoke(folder, *predict, "f.h5", "--split", "test").stdout.count('"kind":"item"') == 8
    # A default takes a store without splits whole.
    bare, whole = Store(folder / "bare.h5"), Store(folder / "f.h5")
    assert [mask.sum() for mask in common.in_split([bare, whole], "train")] == [48, 32]
    assert [mask.sum() for mask in common.in_split([bare, whole], "train", asked=True)] == [0, 32]


def test_folds_have_no_split(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "--folds", 3, "-o", "er.safetensors")
    predict = ("predict", "f.h5", "--model", "er.safetensors")
    found = invoke(folder, *predict, "--split", "development", status=65).stderr
    assert "each tests itself" in found and "leave --split out" in found
    assert invoke(folder, *predict, "--split", "all").stdout.count('"kind":"item"') == 48


def test_the_output_has_the_name_of_what_is_written(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    invoke(folder, "finetune", "f.h5", *QUICK, "--label", "arousal", "-o", "va.safetensors")
    predict = ("predict", "f.h5", "--model")
    found = invoke(folder, *predict, "er.safetensors", "-o", "x.h5", status=2).stderr
    assert "name it P.jsonl" in found and not (folder / "x.h5").exists()
    found = invoke(folder, *predict, "va.safetensors", "-o", "x.jsonl", status=2).stderr
    assert "name it P.h5" in found and not (folder / "x.jsonl").exists()
    invoke(folder, *predict, "er.safetensors", "-o", "x.predictions")
    invoke(folder, *predict, "va.safetensors", "-o", "x.traces")
