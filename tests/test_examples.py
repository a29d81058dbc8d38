"""The chains in examples/ run, on real recordings where they are there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from makefiles import make, pool_of_talk_shows, sentences_of_emodb
from published import save_transformers
from test_import_whisper import CONFIG, theirs

from avaffect.core.checkpoint_header import read_header
from avaffect.data import manifest


@pytest.mark.slow
def test_emodb_chain_on_real_recordings(recordings: Path, tmp_path: Path, avaffect) -> None:
    """A = two of EmoDB's ten sentences, pool = an eighth of real talk shows; short trainings,
    every step of the chain."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    pool, speakers = pool_of_talk_shows(recordings, tmp_path)
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
    assert speakers.isdisjoint(_labelled_speakers(out / "0-adapted"))
    held_out = _speakers(out / "adapted-frozen.jsonl")
    assert len(held_out) == 2
    assert held_out.isdisjoint(_labelled_speakers(out / "0-adapted"))
    avaffect("check", *_artifacts(out))


@pytest.mark.slow
def test_published_weights_on_real_recordings(recordings: Path, tmp_path: Path, avaffect) -> None:
    """A Whisper of random weights, two encoders, two seeds: the tables compare them in pairs; the
    projector with two losses."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    pool, speakers = pool_of_talk_shows(recordings, tmp_path)
    weights, out = tmp_path / "weights", tmp_path / "out"
    save_transformers(weights, theirs("transformers", "model.encoder."), CONFIG)
    stdout = make(
        "examples/real.mk", f"EMODB={sentences_of_emodb(recordings, tmp_path, 'a01', 'a02')}",
        f"POOL={pool}", f"WEIGHTS={weights}", f"OUT={out}", "SEEDS=0 1", "SHARED=pretrained",
        "ADAPTED=adapted", "MODES=tuned", "UNITS_LAYER=1", "CLUSTERS=20", "PRETRAIN_STEPS=2",
        "ADAPT_STEPS=2", "FINETUNE_STEPS=2", "LOSSES=multi-similarity triplet", "table2", "table7",
        "table8",
    )  # fmt: skip
    # Tables 2 and 7, of the best epoch and of the last, on A and on B.
    assert stdout.count("\nadapted\t2\t") == 8
    for epoch in ("best", "last"):
        across = avaffect("eval-class", out / f"0-adapted-tuned-across-{epoch}.jsonl", "--json")
        assert 0 < json.loads(across.stdout)["ua"] < 1
    for seed in "01":
        labelled = _labelled_speakers(out / f"{seed}-adapted")
        assert speakers.isdisjoint(labelled)
        assert _speakers(out / f"{seed}-adapted-tuned-A-best.jsonl").isdisjoint(labelled)
    assert stdout.count("\ntriplet\t2\t") == 1
    # The labels of the pool are in no file that a step of training reads.
    assert "emotion" not in (out / "B.jsonl").read_text(encoding="utf-8")
    avaffect("check", *(path for path in _artifacts(out) if path.suffix != ".json"))


def _artifacts(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.is_file())
    return [path for path in files if not path.name.endswith(".metrics.jsonl")]


def _labelled_speakers(stem: Path) -> set[str]:
    return set(read_header(stem.with_suffix(".safetensors"))["labelled_speakers"])


def _speakers(path: Path) -> set[str]:
    return {item["speaker"] for item in manifest.read(path).items}
