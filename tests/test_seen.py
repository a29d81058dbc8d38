"""What a classifier has learned from is known to its predictions, and said with every score."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import labelled_features
import numpy as np
import pytest
from chain import invoke

from avaffect.core.headers import ClassifierHeader, Input, Run, SeenUtterances
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.recipes.downstream.partitions import Division
from avaffect.recipes.downstream.training_speakers import Seen, counted, described, worst
from avaffect.settings.scores import training_words
from avaffect.training import checkpoint

QUICK = ("--epochs", 1, "--batch-utterances", 16, "--head", "linear")
PREDICT = ("predict", "f.h5", "--model", "er.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_features.write(tmp_path / "f.h5")
    labelled_features.write(tmp_path / "bare.h5", fields=())
    labelled_features.write(tmp_path / "speakers.h5", fields=("speaker",))
    return tmp_path


def _items(text: str) -> list[dict]:
    return [found for line in text.splitlines() if (found := json.loads(line))["kind"] == "item"]


def _report(folder: Path, *arguments: object, stdin: str = "") -> tuple[dict, str]:
    found = invoke(folder, *arguments, "--json", stdin=stdin)
    return json.loads(found.stdout), found.stderr


# -- the record -----------------------------------------------------------------------------------


def _division(run: int, fold: int | None, train: str, development: str) -> Division:
    masks = [np.array([mark == "1" for mark in text]) for text in (train, development)]
    return Division(run, run, fold, *masks, ~(masks[0] | masks[1]))


def _header(seen: SeenUtterances | None, *runs: Run) -> ClassifierHeader:
    model = {"name": "head", "configuration": {}}
    return ClassifierHeader(
        model=model, encoder=model, mode="frozen", preprocessing=Input(), runs=runs, seen=seen,
        labelled_speakers=("x",),
    )  # fmt: skip


def test_each_run_has_its_own_record() -> None:
    utterances = Utterances(list("abcde"), ["x", "x", "", "y", "z"], [""] * 5, [""] * 5)
    divisions = [_division(0, 0, "11000", "00100"), _division(0, 1, "00010", "11000"),
                 _division(1, 0, "11000", "00100")]  # fmt: skip
    record = described(divisions, utterances, ["before"])
    kept = SeenUtterances.from_dict(json.loads(json.dumps(record.to_dict())))
    assert kept.utterances == tuple("abcd")
    assert [part.runs for part in kept.parts] == [(0, 2), (1,)]
    seen = Seen.of(_header(kept, *(d.described({}, None) for d in divisions)))
    for number in (0, 2):
        assert seen.status(number, "a", "") == seen.status(number, "new", "x") == "training"
        assert seen.status(number, "new", "before") == "training"
        assert seen.status(number, "c", "") == "development"
        assert seen.status(number, "d", "y") is seen.status(number, "new", "") is None
    assert seen.status(1, "d", "") == seen.status(1, "new", "y") == "training"
    assert seen.status(1, "a", "x") == "development"
    # Utterances without a speaker have no speaker in common.
    assert seen.status(0, "other", "") is None


def test_the_worst_of_several_runs_counts() -> None:
    assert worst([None, "unknown", "development", "training"]) == "training"
    assert worst([None, "development"]) == "development" and worst([None]) is None
    assert counted(["training", None]) == {"training": 1, "development": 0, "unknown": 0}
    assert training_words(counted(["training"] * 3), 3) == "training speakers"
    assert training_words(counted(["training", None]), 2) == "training speakers (1 of 2)"
    assert training_words(counted([None]), 1) == training_words(None, 1) == ""


def test_classifiers_of_earlier_versions_know_speakers_alone() -> None:
    seen = Seen.of(_header(None, Run(run=0, metrics={})))
    assert seen.status(0, "a", "x") == "training" and seen.status(0, "a", "y") is None
    assert seen.status(0, "a", "") == "unknown"
    folds = [Run(run=0, fold=fold, metrics={}) for fold in (0, 1)]
    seen = Seen.of(_header(None, *folds))
    assert seen.status(1, "a", "x") == "unknown" and seen.status(1, "a", "y") is None


# -- classes --------------------------------------------------------------------------------------


def test_scores_of_what_was_trained_on_say_so(folder: Path) -> None:
    """A store without splits: all of it is trained on."""
    invoke(folder, "finetune", "speakers.h5", *QUICK, "-o", "er.safetensors")
    found = invoke(folder, "predict", "speakers.h5", *PREDICT[2:])
    assert "on training speakers" in found.stderr
    assert {item["seen"] for item in _items(found.stdout)} == {"training"}
    scored = invoke(folder, "eval-class", stdin=found.stdout)
    head, row = (line.split("\t") for line in scored.stdout.splitlines())
    assert row[head.index("on")] == "training speakers" and head.index("on") < head.index("ua")
    assert "on training speakers: the classifier was trained on their labels" in scored.stderr
    report, _ = _report(folder, "eval-class", stdin=found.stdout)
    assert report["seen"] == {"training": 48, "development": 0, "unknown": 0}
    # By the id, where nobody knows the speaker.
    assert "on training speakers" in invoke(folder, "predict", "bare.h5", *PREDICT[2:]).stderr


def test_splits_are_told_apart_and_a_result_is_clean(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    predictions = invoke(folder, *PREDICT).stdout
    statuses = {(item["split"], item["seen"]) for item in _items(predictions)}
    assert statuses == {("train", "training"), ("development", "development"), ("test", None)}
    clean = invoke(folder, "eval-class", stdin=predictions)
    assert "on training" not in clean.stderr and "\ton\t" not in clean.stdout
    report, _ = _report(folder, "eval-class", stdin=predictions)
    assert report["seen"] == {"training": 0, "development": 0, "unknown": 0}
    report, words = _report(folder, "eval-class", "--split", "all", stdin=predictions)
    assert report["seen"] == {"training": 32, "development": 8, "unknown": 0}
    assert "training speakers (32 of 48), development speakers (8 of 48)" in words
    _, words = _report(folder, "eval-class", "--split", "development", stdin=predictions)
    assert "on development speakers: its epoch was selected by their labels" in words


def test_each_fold_is_a_result_unless_it_is_another_division(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "--folds", 3, "--runs", 2, "-o", "er.safetensors")
    predictions = invoke(folder, *PREDICT)
    assert "on training" not in predictions.stderr
    assert {item["seen"] for item in _items(predictions.stdout)} == {None}
    # Folds moved by one: each run then predicts its own development part.
    manifest = [
        {"kind": "header", "format": "avaffect-manifest", "version": "1.0", "content": "corpus"},
        *({"kind": "item", "id": f"u{n:02}", "media": "x", "fold": (n // 8 - 1) % 3}
          for n in range(48)),
        {"kind": "end", "count": 48},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in manifest)
    (folder / "moved.jsonl").write_text(text, encoding="utf-8")
    moved = invoke(folder, *PREDICT, "--annotations", "moved.jsonl")
    assert {item["seen"] for item in _items(moved.stdout)} == {"development"}
    text = text.replace('"fold": 0', '"fold": 3').replace('"fold": 1', '"fold": 0')
    (folder / "moved.jsonl").write_text(text.replace('"fold": 3', '"fold": 1'), encoding="utf-8")
    assert "training" in {
        item["seen"]
        for item in _items(invoke(folder, *PREDICT, "--annotations", "moved.jsonl").stdout)
    }


def test_filters_and_merged_runs_keep_it(folder: Path) -> None:
    invoke(folder, "finetune", "speakers.h5", *QUICK, "-o", "er.safetensors")
    head, *lines, _ = invoke(folder, *PREDICT).stdout.splitlines(keepends=True)
    filtered = invoke(folder, "seal", "--allow-cut", stdin=head + "".join(lines[:9])).stdout
    report, _ = _report(folder, "eval-class", stdin=filtered)
    assert report["seen"]["training"] == report["count"] == 9

    def changed(**fields: object) -> str:
        return "".join(json.dumps({**json.loads(line), **fields}) + "\n" for line in lines[:9])

    # One run knows it, another does not.
    both = head + "".join(lines[:9]) + changed(run=1, seen=None)
    sealed = invoke(folder, "seal", "--allow-cut", stdin=both).stdout
    report, _ = _report(folder, "eval-class", stdin=sealed)
    assert len(report["runs"]) == 2 and report["seen"]["training"] == 9
    # A filter that kept some fields alone.
    kept = ("kind", "id", "gold", "prediction", "target")
    bare = [{key: json.loads(line)[key] for key in kept} for line in lines[:9]]
    text = head + "".join(json.dumps(item) + "\n" for item in bare)
    sealed = invoke(folder, "seal", "--allow-cut", stdin=text).stdout
    report, words = _report(folder, "eval-class", stdin=sealed)
    assert report["seen"]["unknown"] == 9 and "on perhaps training speakers" in words


def test_predictions_of_others_say_nothing(folder: Path) -> None:
    lines = [
        {"kind": "header", "format": "avaffect-manifest", "version": "1.0",
         "content": "predictions"},
        {"kind": "item", "id": "a", "gold": "x", "prediction": "y"},
        {"kind": "end", "count": 1},
    ]  # fmt: skip
    report, words = _report(folder, "eval-class", stdin="\n".join(map(json.dumps, lines)) + "\n")
    assert report["seen"] is None and "training" not in words


def test_compare_says_it_of_each_row(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    invoke(folder, *PREDICT, "-o", "p.jsonl")
    for split in ("train", "test"):
        invoke(folder, "eval-class", "p.jsonl", "--split", split, "-o", f"{split}.json")
    found = invoke(folder, "compare", "test.json", "train.json")
    assert "train: on training speakers" in found.stderr
    assert "test: on training" not in found.stderr
    head, test, train = (line.split("\t") for line in found.stdout.splitlines())
    assert head[2] == "on" and test[2] == "" and train[2] == "training speakers"
    report, _ = _report(folder, "compare", "test.json", "train.json")
    assert [row["seen"]["training"] for row in report["rows"]] == [0, 32]
    # Reports of earlier versions do not know.
    old = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    del old["seen"]
    (folder / "old.json").write_text(json.dumps(old), encoding="utf-8")
    report, words = _report(folder, "compare", "old.json")
    assert report["rows"][0]["seen"] is None and "on training" not in words


# -- traces ---------------------------------------------------------------------------------------


def test_traces_carry_it_in_their_store(folder: Path) -> None:
    tune = (*QUICK, "--label", "arousal", "-o", "va.safetensors")
    invoke(folder, "finetune", "f.h5", *tune)
    found = invoke(folder, "predict", "f.h5", "--model", "va.safetensors", "-o", "p.h5")
    assert "on training speakers (32 of 48), development speakers (8 of 48)" in found.stderr
    score = ("eval-ccc", "p.h5", "--gold", "f.h5")
    clean = invoke(folder, *score)
    assert "on training" not in clean.stderr and "\ton\t" not in clean.stdout
    found = invoke(folder, *score, "--split", "train")
    assert "on training speakers: the classifier" in found.stderr
    head, row, _ = (line.split("\t") for line in found.stdout.splitlines())
    assert row[head.index("on")] == "training speakers" and head.index("on") < head.index("ccc")
    report, _ = _report(folder, *score, "--split", "train")
    assert report["seen"] == {"training": 32, "development": 0, "unknown": 0}
    report, _ = _report(folder, "eval-ccc", "f.h5", "--gold", "f.h5", "--label", "arousal")
    assert report["seen"] is None


# -- the encoder's own lineage --------------------------------------------------------------------


def test_the_header_names_whom_the_encoder_has_seen(folder: Path) -> None:
    invoke(folder, "finetune", "f.h5", *QUICK, "-o", "er.safetensors")
    header, _ = checkpoint.load(folder / "er.safetensors", expect="classifier")
    assert header["seen"]["lineage"] == [] and len(header["seen"]["utterances"]) == 40
    utterances = SimpleNamespace(chosen=lambda _: SimpleNamespace(ids=["a"], speakers=["x"]))
    found = described([_division(0, None, "1", "0")], utterances, ["z", "y"])
    assert found.lineage == ("y", "z")
