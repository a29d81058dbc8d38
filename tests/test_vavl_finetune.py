"""finetune --head vavl on utterances with sound, faces or both, and predict."""

from __future__ import annotations

import json
from pathlib import Path

import paired_stores
import pytest
from chain import invoke
from paired_stores import SMALL, TWO

from avaffect.training import checkpoint

QUICK = ("--epochs", 12, "--batch-utterances", 8, "--head-learning-rate", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paired_stores.write(tmp_path)
    return tmp_path


def items(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:-1]


def trained(folder: Path, *options: object) -> dict:
    invoke(folder, "finetune", "audio.h5", *TWO, *SMALL, *QUICK, *options, "-f",
           "-o", "v.safetensors")  # fmt: skip
    return checkpoint.load(folder / "v.safetensors")[0]


def test_one_model_learns_from_whatever_utterances_have(folder: Path) -> None:
    header = trained(folder, "--label", "emotion", "--label", "arousal")
    assert header["model"]["configuration"]["head"]["name"] == "vavl"
    invoke(folder, "predict", "audio.h5", *TWO, "--model", "v.safetensors", "-o", "p.jsonl")
    found = [item for item in items(folder / "p.jsonl") if item["target"] == "emotion"]
    assert len(found) == paired_stores.COUNT
    right = [item["gold"] == item["prediction"] for item in found]
    assert sum(right) > 0.9 * len(right)
