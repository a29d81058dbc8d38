"""Manifests joined: corpora side by side, predictions as further runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.joining import joined


def corpus(path: Path, ids: list[str], classes: list[str], base: str = ".") -> manifest.Manifest:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = manifest.new_header(
        "corpus",
        base=base,
        corpus=path.stem,
        labels={"emotion": {"kind": "class", "classes": classes}},
    )
    items = [{"id": i, "media": f"wav/{i}.wav", "labels": {"emotion": classes[0]}} for i in ids]
    manifest.write(path, header, items)
    return manifest.read(path)


def predictions(path: Path, runs: int, target: str = "emotion") -> Path:
    header = manifest.new_header(
        "predictions", target=target, classes=["anger", "neutral"], runs=runs
    )
    manifest.write(
        path,
        header,
        [
            {"id": f"u{i}", "target": target, "gold": "anger", "prediction": "anger", "run": run}
            for run in range(runs)
            for i in range(3)
        ],
    )
    return path


def test_corpora_keep_their_media_and_unite_their_classes(tmp_path: Path) -> None:
    first = corpus(tmp_path / "one" / "a.jsonl", ["a1", "a2"], ["anger", "neutral"])
    second = corpus(tmp_path / "two" / "b.jsonl", ["b1"], ["fear", "anger"])
    header, items = joined([first, second])
    assert header.corpus == "a+b" and header.labels is not None
    assert header.labels["emotion"].classes == ("anger", "neutral", "fear")
    assert [item["media"] for item in items] == ["wav/a1.wav", "wav/a2.wav", "../two/wav/b1.wav"]


def test_a_shared_id_names_both_files(tmp_path: Path) -> None:
    first = corpus(tmp_path / "a.jsonl", ["x"], ["anger"])
    second = corpus(tmp_path / "b.jsonl", ["x"], ["anger"])
    with pytest.raises(DataError, match=r"a\.jsonl and .*b\.jsonl both have the id x"):
        joined([first, second])


def test_predictions_become_runs_through_the_command_line(tmp_path: Path, avaffect) -> None:
    files = [predictions(tmp_path / "p.jsonl", 1), predictions(tmp_path / "q.jsonl", 2)]
    avaffect("merge", *files, "-o", tmp_path / "all.jsonl")
    report = json.loads(avaffect("eval-class", tmp_path / "all.jsonl", "--json").stdout)
    assert [run["run"] for run in report["runs"]] == [0, 1, 2]
    assert report["count"] == 3
    other = predictions(tmp_path / "r.jsonl", 1, target="valence")
    found = avaffect("merge", files[0], other, "-o", tmp_path / "no.jsonl", status=65)
    assert "different labels" in found.stderr
    assert not (tmp_path / "no.jsonl").exists()


def test_stores_do_not_join_manifests(tmp_path: Path, avaffect) -> None:
    store = tmp_path / "s.h5"
    corpus(tmp_path / "a.jsonl", [], ["anger"])
    avaffect("preprocess", tmp_path / "a.jsonl", "-o", store)
    found = avaffect("merge", store, tmp_path / "a.jsonl", "-o", tmp_path / "x", status=2)
    assert "stores with stores" in found.stderr
