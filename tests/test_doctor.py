"""`doctor` says whether avaffect works, and what mends what does not."""

from __future__ import annotations

import importlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import invoke

from avaffect.recipes.diagnosis import packages
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, OPTIONAL

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


def report(folder: Path, *arguments: object, status: int = 0) -> dict[str, dict[str, Any]]:
    """Name -> the finding of that name."""
    words = invoke(folder, "doctor", "--json", *arguments, status=status).stdout
    return {item["name"]: item for item in map(json.loads, words.splitlines())}


def test_the_whole_chain_works_here(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert not any(item["state"] == BROKEN for item in found.values())
    steps = ["synth", "preprocess", "extract", "finetune", "predict", "eval-class"]
    assert [name for name, item in found.items() if item["about"] == "chain"] == steps
    assert found["torch"]["found"] == version("torch")
    assert list(tmp_path.iterdir()) == []
    assert "chain" not in {item["about"] for item in report(tmp_path, "--without-test").values()}


def test_a_failing_step_ends_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("an unfitting version")

    monkeypatch.setattr("avaffect.recipes.doctor.extract", broken)
    found = report(tmp_path, status=1)
    assert found["extract"]["state"] == BROKEN and "TypeError" in found["extract"]["found"]
    assert "finetune" not in found


def test_missing_old_and_broken_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(name: str) -> str:
        if name in ("scipy", "opensmile"):
            raise PackageNotFoundError(name)
        return "0.1" if name == "rich" else version(name)

    whole = importlib.import_module

    def importing(name: str) -> Any:
        if name == "cv2":
            raise OSError("libGL.so.1: cannot open shared object file")
        return whole(name)

    monkeypatch.setattr(packages, "version", changed)
    monkeypatch.setattr(packages.importlib, "import_module", importing)
    found = {item.name: item for item in packages.look()}
    assert found["scipy"].state == BROKEN and "'scipy>=" in found["scipy"].mend
    assert found["opensmile"].state == OPTIONAL and "pip install" in found["opensmile"].mend
    assert found["rich"].state == BROKEN and found["rich"].found.startswith("0.1")
    broken = found["opencv-python-headless"]
    assert broken.state == BROKEN and "libGL" in broken.found and "reinstall" in broken.mend
    assert found["numpy"].state == FINE


def test_models(tmp_path: Path) -> None:
    (tmp_path / "strange.pt").write_bytes(b"no weights")
    (tmp_path / "strange.onnx").write_bytes(b"no network")
    found = report(tmp_path, "strange.pt", "strange.onnx", "absent.pt", "--without-test", status=1)
    for name in ("strange.pt", "strange.onnx", "absent.pt"):
        assert found[name]["state"] == BROKEN and name in found[name]["found"]


def test_pipes_and_devices_are_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not opened: reading them does not end."""
    monkeypatch.setattr("avaffect.recipes.encoding.importing.title", lambda *_: "opened")
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    found = report(tmp_path, "pipe.pt", "zero.pt", "--without-test", status=1)
    for name in ("pipe.pt", "zero.pt"):
        assert found[name]["state"] == BROKEN and "opened" not in found[name]["found"]


def test_models_that_are_recognised(tmp_path: Path) -> None:
    detector, whisper = MODELS / "yunet_n_640_640.onnx", MODELS / "whisper-tiny.en"
    if not detector.exists() or not whisper.exists():
        pytest.skip(f"no models at {MODELS}")
    found = report(tmp_path, detector, whisper, "--without-test")
    assert "YuNet" in found[str(detector)]["found"] and "Whisper" in found[str(whisper)]["found"]
    assert "face detector yunet" not in found


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("avaffect.recipes.diagnosis.place.tempfile.TemporaryDirectory", refused)
    found = report(tmp_path, "--without-test", status=1)
    assert found["writing"]["state"] == BROKEN and "Permission denied" in found["writing"]["found"]


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("avaffect.recipes.diagnosis.machine.shutil.which", lambda name: None)
    assert report(tmp_path, "--without-test")["gpu"]["state"] == OPTIONAL
    # There is one, and torch cannot use it.
    monkeypatch.setattr("avaffect.recipes.diagnosis.machine.shutil.which", lambda name: "/bin/x")
    found = report(tmp_path, "--without-test", status=1)["gpu"]
    assert found["state"] == BROKEN and found["mend"]
