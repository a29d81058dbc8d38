"""The chains in examples/ run, on real recordings where they are there."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from avaffect.core.checkpoint_header import read_header
from avaffect.data import manifest
from avaffect.data.store import Store

ROOT = Path(__file__).resolve().parent.parent


def make(makefile: str, *variables: str) -> str:
    """Run an example with `avaffect` of this environment on the path; its standard output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["make", "-f", makefile, *variables],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


@pytest.mark.slow
def test_emodb_chain_on_real_recordings(recordings: Path, tmp_path: Path, avaffect) -> None:
    """A = EmoDB, pool = real talk shows; short trainings, every step of the chain."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    with (recordings / "files.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["path"].startswith("urdu_pool/")]
    pool = tmp_path / "pool.csv"
    with pool.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "speaker", "emotion"], extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "path": os.path.relpath(recordings / row["path"], tmp_path)})
    out = tmp_path / "out"
    stdout = make(
        "examples/emodb.mk", f"EMODB={recordings / 'emodb'}", f"POOL={pool}", f"OUT={out}",
        "SEEDS=0", "CLUSTERS=20", "PRETRAIN_EPOCHS=1", "PROJECTOR_EPOCHS=10", "ADAPT_EPOCHS=1",
        "FINETUNE_EPOCHS=1",
    )  # fmt: skip
    assert "adapted-frozen.jsonl" in stdout
    report = json.loads(
        avaffect("eval-class", out / "pretrained-frozen.jsonl", "--json", "-q").stdout
    )
    # Real speech of held-out speakers, a linear head: well above the chance of 0.25.
    assert report["ua"] > 0.4
    assert {row["speaker"] for row in rows}.isdisjoint(_labelled_speakers(out / "0-adapted"))
    held_out = _speakers(out / "adapted-frozen.jsonl")
    assert len(held_out) == 2
    assert held_out.isdisjoint(_labelled_speakers(out / "0-adapted"))
    artifacts = [p for p in out.iterdir() if p.is_file() and not p.name.endswith(".metrics.jsonl")]
    avaffect("check", *artifacts)


@pytest.mark.slow
def test_emodb_with_talking_faces_as_the_pool(recordings: Path, tmp_path: Path) -> None:
    """A hears alone, B also sees: films whose sound lies beside them, a part of each."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    pool = tmp_path / "faces.csv"
    films = sorted((recordings / "video_styletalk").glob("*.mp4"))
    with pool.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["utt", "sound", "film", "speaker", "start", "end"])
        for film in films:
            paths = [film.with_suffix(".wav"), film]
            writer.writerow([film.stem, *paths, film.stem.split("_")[0], 1, 3])
    out = tmp_path / "out"
    make(
        "examples/emodb.mk", f"EMODB={recordings / 'emodb'}", f"POOL={pool}", f"OUT={out}",
        "MODALITY=av", "TABLE=--id utt --media sound --video film --speaker speaker --start start "
        "--end end", "SEEDS=0", "CLUSTERS=20", "PRETRAIN_EPOCHS=1", "PROJECTOR_EPOCHS=10",
        "ADAPT_EPOCHS=1", "FINETUNE_EPOCHS=1", f"{out}/0-adapted-frozen.jsonl",
        f"{out}/0-pretrained-retrieval.png",
    )  # fmt: skip
    faces = Store(out / "B.h5")
    assert (faces.lengths("face") == 50).all() and (faces.lengths("waveform") == 32_000).all()
    # Real faces, found in every picture.
    assert sum(faces.meta["faces_absent"]) == 0
    adapted = read_header(out / "0-adapted.safetensors")
    assert adapted["preprocessing"]["streams"] == ["waveform", "face"]
    assert len(_speakers(out / "0-adapted-frozen.jsonl")) == 2


def _labelled_speakers(stem: Path) -> set[str]:
    return set(read_header(stem.with_suffix(".safetensors"))["labelled_speakers"])


def _speakers(path: Path) -> set[str]:
    return {item["speaker"] for item in manifest.read(path).items}
