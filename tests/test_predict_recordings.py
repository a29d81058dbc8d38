"""predict on recordings: what preprocess makes of them, without its store."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from chain import invoke
from recorded import NAMES, items, learn

CLASSES = ("anger", "joy")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    learn(folder)
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, which has to be empty at the end."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("mode", ["frozen", "fine-tuned"])
def test_as_by_way_of_a_store(mode: str, learned: Path, temporary: Path) -> None:
    model = ("--model", f"{mode}.safetensors")
    stored = items(invoke(learned, "predict", "media.h5", *model))
    found = invoke(learned, "predict", "clips", *model)
    assert {i["id"] for i in stored} == set(NAMES) and len(stored) == 2 * len(NAMES)
    assert {(i["id"], i["run"]): i["scores"] for i in items(found)} == {
        (i["id"], i["run"]): i["scores"] for i in stored
    }
    assert "broken (broken.mp4)" in found.stderr and "lost 1 of 6 recordings" in found.stderr
    assert "notes" not in found.stderr
    assert not list(temporary.iterdir())


def test_a_bundle_alone(learned: Path, tmp_path: Path, temporary: Path) -> None:
    """In another folder, without the encoder and the stores; written by either command."""
    stored = items(invoke(learned, "predict", "media.h5", "--model", "frozen.safetensors"))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(learned / "clips", elsewhere / "clips")
    bundle = elsewhere / "emotion.safetensors"
    invoke(learned, "bundle", "frozen.safetensors", "-o", bundle)
    found = items(invoke(elsewhere, "predict", "clips", "--model", bundle.name))
    assert {(i["id"], i["run"]): i["scores"] for i in found} == {
        (i["id"], i["run"]): i["scores"] for i in stored
    }
