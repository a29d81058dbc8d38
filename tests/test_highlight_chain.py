"""Highlights through the command line, from films to their mean average precision, and films in
which there is little to rank."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from chain import invoke

from avaffect.core.provenance import provenance
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.synthetic import film

SMALL = ("--head", "highlight", "--label", "highlight", "--layers", 1, "--head-option",
         "attention_heads=2", "--head-option", "width=16", "--head-option", "ffn_dim=16",
         "--head-option", "first_units=16", "--head-option", "second_units=8",
         "--batch-seconds", 100, "--head-learning-rate", 1e-2)  # fmt: skip
SEGMENT_S = 0.6


def report(folder: Path, *arguments: object) -> dict:
    return json.loads(invoke(folder, "eval-rank", *arguments, "--json").stdout)


def test_planted_highlights_of_films_are_ranked_above_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "SEGMENT_S", SEGMENT_S)
    for command in (
        ("synth", "films", "--domain", "U", "--modality", "audio", "--segments", 8, "--utterances",
         60, "--speakers", 20, "-j", 1, "-o", "m.jsonl"),
        ("split", "m.jsonl", "--by", "speaker", "--ratios", 50, 15, 35, "-o", "split.jsonl"),
        ("preprocess", "split.jsonl", "--without", "video", "-j", 1, "-o", "films.h5"),
        ("extract", "films.h5", "--model", "logmel", "--segment", SEGMENT_S, "-o", "s.h5"),
        ("finetune", "s.h5", *SMALL, "--head-option", f"segment={SEGMENT_S}", "--epochs", 30,
         "--runs", 3, "-o", "h.safetensors"),
        ("predict", "s.h5", "--model", "h.safetensors", "--split", "test", "-o", "p.h5"),
    ):  # fmt: skip
        invoke(tmp_path, *command)
    found = report(tmp_path, "p.h5", "--gold", "films.h5")
    assert found["split"] == "test" and len(found["runs"]) == 3
    assert found["count"] == len(found["recordings"]) == 21
    # .64 of three runs where random orders have .37; one of them was .59 at least.
    chance = found["chance"]["highlight"]
    assert 0.3 < chance < 0.45
    assert found["map"]["highlight"] > chance + 0.12
    assert all(run["map"]["highlight"] > chance for run in found["runs"])


# Name -> segments with features, labels, and split; a film without a value has no labels.
Films = dict[str, tuple[int, list[int], str]]
FILMS: Films = {
    **{f"t{n}": (6, [0, 0, 1, 0, 0, 0], "train") for n in range(4)},
    "never": (6, [0] * 6, "train"),
    "always": (6, [1] * 6, "train"),
    "short": (1, [1], "train"),
    "long": (6, [0, 1, 0, 0, 0, 0, 0, 0, 1], "train"),
    "cut": (9, [0, 1, 0, 0, 0], "train"),
    "silent": (0, [0, 1, 0, 0, 0, 0], "train"),
    **{f"d{n}": (6, [0, 1, 0, 0, 0, 0], "development") for n in range(2)},
    "x0": (6, [0, 1, 0, 0, 0, 0], "test"),
    "x1": (7, [0, 1, 0, 0, 0, 0, 0, 0, 1], "test"),
    "x2": (1, [1], "test"),
    "x3": (6, [0] * 6, "test"),
    "x4": (6, [], "test"),
}


def write(path: Path, films: Films) -> Path:
    spec = StreamSpec("features", "float32", 0.2, (4,), made={"front_end": "noise"})
    labels = {"highlight": LabelSpec("trace", rate_hz=0.2)}
    made = provenance("test", {}, [])
    with store_writer(path, made, streams={"features": spec}, labels=labels) as writer:
        for number, (name, (segments, gold, split)) in enumerate(films.items()):
            values = np.random.default_rng(number).normal(size=(segments, 4)).astype(np.float32)
            writer.add(
                name, streams={"features": values}, meta={"speaker": name, "split": split},
                labels={"highlight": np.array(gold, dtype=np.float32) if gold else None},
            )  # fmt: skip
    return path


def test_films_with_little_to_rank_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "f.h5", FILMS)
    said = invoke(tmp_path, "finetune", "f.h5", *SMALL, "--epochs", 1, "-o", "h.safetensors").stderr
    # never, always, short, x2 and x3; silent has no segment, x4 no label.
    assert "5 recordings of 17 left out" in said
    assert "6 utterances have no known value" in said
    assert "silent" in said
    # Longer and shorter than what is read, by more than a segment.
    assert "3 utterances: long, cut, x1" in said
    said = invoke(tmp_path, "predict", "f.h5", "--model", "h.safetensors", "--split", "all",
                  "-o", "p.h5").stderr  # fmt: skip
    made = Store(tmp_path / "p.h5")
    # Whatever their labels, as many scores as segments.
    assert "silent" in said and made.count == 16
    lengths = {i: len(made.trace("highlight", row)) for i, row in made.rows.items()}
    assert lengths == {name: film[0] for name, film in FILMS.items() if film[0]}
    found = invoke(tmp_path, "eval-rank", "p.h5", "--gold", "f.h5", "--json")
    scores = json.loads(found.stdout)
    assert list(scores["recordings"]["x1"]) == ["highlight"]
    assert {i for i, of in scores["recordings"].items() if of} == {"x0", "x1"}
    assert scores["without"] == {"highlight": ["x3"]}
    assert scores["throughout"] == {"highlight": ["x2"]}
    assert scores["recordings"]["x1"]["highlight"]["segments"] == 7
    assert "1 recording, by up to 10 s (x1)" in found.stderr
    assert "x4" in found.stderr


def test_films_of_one_segment(tmp_path: Path) -> None:
    """Values of five seconds each, and what is read of six of them is one vector."""
    write(tmp_path / "f.h5", FILMS)
    for lengths, status in (
        (dict.fromkeys(FILMS, 1), 65),
        ({**dict.fromkeys(FILMS, 6), "t0": 1}, 0),
    ):
        films = {i: (lengths[i], gold, split) for i, (_, gold, split) in FILMS.items()}
        write(tmp_path / "one.h5", films)
        said = invoke(tmp_path, "finetune", "one.h5", *SMALL, "--epochs", 1, "-o", "o.safetensors",
                      status=status).stderr  # fmt: skip
        assert "one segment" in said and ("t0" in said or status)
    said = invoke(tmp_path, "finetune", "f.h5", *SMALL[:2], "--label", "beauty", "-o",
                  "no.safetensors", status=65).stderr  # fmt: skip
    assert "it has: highlight" in said


def test_films_in_which_there_is_nothing_to_rank_at_all(tmp_path: Path) -> None:
    flat = {f"f{n}": (6, [n % 2] * 6, ("train", "development", "test")[n % 3]) for n in range(6)}
    write(tmp_path / "flat.h5", flat)
    words = invoke(tmp_path, "finetune", "flat.h5", *SMALL, "-o", "no.safetensors", status=65)
    assert "throughout each of 6 recordings" in words.stderr
    write(tmp_path / "f.h5", FILMS)
    invoke(tmp_path, "finetune", "f.h5", *SMALL, "--epochs", 1, "-o", "h.safetensors")
    invoke(tmp_path, "predict", "flat.h5", "--model", "h.safetensors", "--split", "all",
           "-o", "p.h5")  # fmt: skip
    words = invoke(tmp_path, "eval-rank", "p.h5", "--gold", "flat.h5", "--split", "all", status=65)
    assert "nowhere in 3 recordings, and throughout 3" in words.stderr
    # A part without a highlight: nothing to train on, or nothing to select by.
    for part, status, words in (
        ("train", 65, "train.h5: no labelled utterance to train on"),
        ("development", 0, "training on 6 utterances, development 0, test 2"),
    ):
        films = {i: (n, [0] * n if of == part else gold, of) for i, (n, gold, of) in FILMS.items()}
        write(tmp_path / f"{part}.h5", films)
        said = invoke(tmp_path, "finetune", f"{part}.h5", *SMALL, "--epochs", 1,
                      "-o", f"{part}.safetensors", status=status).stderr  # fmt: skip
        assert words in said
