"""README's first commands, typed as they stand, on recordings made from a seed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from chain import VOICES, invoke
from forked import client

from avaffect.data import manifest

README = Path(__file__).resolve().parent.parent / "README.md"
GERMAN = {"anger": "Wut", "happiness": "Freude", "sadness": "Trauer", "neutral": "neutral"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """clips/EMOTION/SPEAKER_NUMBER.wav, and aufnahmen.csv of the same."""
    invoke(tmp_path, "synth", "wav", "--utterances", 24, *VOICES, "-o", "all.jsonl")
    rows = ["Datei;Person;Emotion"]
    corpus = manifest.read(tmp_path / "all.jsonl")
    for number, item in enumerate(corpus.items):
        emotion, speaker = item["labels"]["emotion"], item["speaker"].replace("_", "")
        path = tmp_path / "clips" / emotion / f"{speaker}_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(corpus.folder / item["media"])
        rows.append(f"{path.relative_to(tmp_path)};{speaker};{GERMAN[emotion]}")
    (tmp_path / "aufnahmen.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def test_own_recordings(folder: Path) -> None:
    section = README.read_text(encoding="utf-8").split("## Your own recordings")[1]
    folders, table = re.findall(r"```sh\n(.*?)```", section, re.S)[:2]
    path = f"{client().parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", folders + table], cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("mine", "aufnahmen"):
        assert (folder / name / "report.html").exists()
        sound = next((folder / "clips").rglob("*.wav"))
        rows = invoke(folder, "predict", sound, "--model", f"{name}/model.safetensors",
                      "--format", "csv").stdout  # fmt: skip
        assert len(rows.splitlines()) == 2
    corpora = [manifest.read(folder / name) for name in ("clips.jsonl", "aufnahmen.jsonl")]
    one, two = ({item["id"]: item["labels"] for item in corpus.items} for corpus in corpora)
    assert one == two
