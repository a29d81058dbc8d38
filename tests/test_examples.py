"""The chains in examples/ run, on real recordings where they are there."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from makefiles import make, sentences_of_emodb

from avaffect.core.checkpoint_header import read_header
from avaffect.data import manifest


@pytest.mark.slow
def test_emodb_chain_on_real_recordings(recordings: Path, tmp_path: Path, avaffect) -> None:
    """A = two of EmoDB's ten sentences, pool = an eighth of real talk shows; short trainings,
    every step of the chain."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    with (recordings / "files.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["path"].startswith("urdu_pool/")]
    # All emotions, and many speakers.
    rows = rows[::8]
    pool = tmp_path / "pool.csv"
    with pool.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "speaker", "emotion"], extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "path": os.path.relpath(recordings / row["path"], tmp_path)})
    out = tmp_path / "out"
    emodb = sentences_of_emodb(recordings, tmp_path, "a01", "a02")
    stdout = make(
        "examples/emodb.mk", f"EMODB={emodb}", f"POOL={pool}", f"OUT={out}",
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


def _labelled_speakers(stem: Path) -> set[str]:
    return set(read_header(stem.with_suffix(".safetensors"))["labelled_speakers"])


def _speakers(path: Path) -> set[str]:
    return {item["speaker"] for item in manifest.read(path).items}
