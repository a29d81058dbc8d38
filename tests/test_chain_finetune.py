"""finetune -> predict -> eval-class: modes, runs, folds, and speakers that must not be tested."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import closed, invoke, litter
from safetensors.torch import load_file, save_file
from tiny_training import history

from avaffect.core import checkpoint_header
from avaffect.data.store.reader import Store
from avaffect.training import checkpoint

FINETUNE = ("finetune", "a.h5", "-o", "er.safetensors", "--batch-utterances", 8)
MODES = {
    "frozen": ("--epochs", 4),
    "fine-tuned": ("--epochs", 2),
    "lora": ("--epochs", 2),
    "scratch": ("--epochs", 1),
}


def _predictions(path: Path) -> list[dict]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["content"] == "predictions" and lines[-1]["count"] == len(lines) - 2
    return lines[1:-1]


def _scores(folder: Path, *options: object) -> dict:
    found = invoke(folder, "eval-class", "p.jsonl", "--json", *options)
    (line,) = found.stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("mode", MODES)
def test_modes(chain: Path, mode: str) -> None:
    encoder = ("--encoder", "fav.safetensors", "--mode", mode, "--runs", 2)
    found = invoke(chain, *FINETUNE, *encoder, *MODES[mode])
    assert "er.safetensors: 2 runs, development ua" in found.stderr and litter(chain) == []
    header, tensors = checkpoint.load(chain / "er.safetensors", expect="classifier")
    assert [(run["run"], run["seed"]) for run in header["runs"]] == [(0, 0), (1, 1)]
    own = any(name.startswith("runs.0.encoder.") for name in tensors)
    assert own == (mode in ("fine-tuned", "scratch"))
    name = next(name for name in tensors if name.startswith("runs.0.head") and "weight" in name)
    assert not torch.equal(tensors[name], tensors[name.replace("runs.0", "runs.1")])

    invoke(chain, "predict", "a.h5", "--model", "er.safetensors", "--split", "test",
           "-o", "p.jsonl")  # fmt: skip
    items = _predictions(chain / "p.jsonl")
    store = Store(chain / "a.h5")
    gold = dict(zip(store.ids, store.label("emotion")))
    tested = [i for i, split in zip(store.ids, store.meta["split"]) if split == "test"]
    assert Counter((item["id"], item["run"]) for item in items) == Counter(
        (identifier, run) for identifier in tested for run in (0, 1)
    )
    base = json.loads((chain / "p.jsonl").read_text().splitlines()[0])["base"]
    for item in items:
        assert (chain / base / item["media"]).stem == item["id"]
        assert item["gold"] == store.labels["emotion"].classes[gold[item["id"]]]
        assert item["prediction"] == max(item["scores"], key=item["scores"].get)
        assert sum(item["scores"].values()) == pytest.approx(1.0, abs=1e-5)
    right = [
        np.mean([i["gold"] == i["prediction"] for i in items if i["run"] == r]) for r in (0, 1)
    ]
    scores = _scores(chain)
    assert scores["accuracy"] == pytest.approx(np.mean(right))
    assert scores["std"]["accuracy"] == pytest.approx(np.std(right, ddof=1))


def test_the_kept_epoch_is_what_predict_applies(chain: Path) -> None:
    """Predictions of development score as the epoch did that was best there."""
    for mode in ("frozen", "fine-tuned", "lora"):
        options = ("--encoder", "fav.safetensors", "--mode", mode, *MODES[mode], "-f")
        invoke(chain, *FINETUNE, *options, "--head-learning-rate", 0.02, "--select", "ua")
        lines = history(chain / "er.safetensors.metrics.jsonl")
        best = max(line["ua"] for line in lines if "ua" in line)
        kept = checkpoint.load(chain / "er.safetensors")[0]["runs"][0]["metrics"]["development"]
        assert kept["ua"] == best
        invoke(chain, "predict", "a.h5", "--model", "er.safetensors", "--split", "development",
               "-o", "p.jsonl", "-f")  # fmt: skip
        assert _scores(chain)["ua"] == pytest.approx(best)


def test_scratch_knows_nothing_of_the_encoder(chain: Path) -> None:
    """Only its configuration counts: another encoder of the same preset gives the same weights."""
    pretrain = ("pretrain-hubert", "a.h5", "--units", "units_a.h5", "--preset", "nano")
    invoke(chain, *pretrain, "--steps", 0, "--seed", 9, "-o", "random.safetensors")
    ids = []
    for name in ("fav", "random"):
        encoder = ("--encoder", f"{name}.safetensors", "--mode", "scratch", "--steps", 1)
        invoke(chain, *FINETUNE, *encoder, "-f")
        ids.append(checkpoint.load(chain / "er.safetensors")[0]["content_id"])
    assert ids[0] == ids[1]


def test_classes_are_chosen_and_merged(chain: Path) -> None:
    classes = ("--classes", "sadness,aroused=anger+happiness")
    found = invoke(chain, *FINETUNE, "--encoder", "fav.safetensors", *MODES["frozen"],
                   "--mode", "frozen", *classes)  # fmt: skip
    assert "(neutral 6)" in found.stderr
    invoke(chain, "predict", "a.h5", "--model", "er.safetensors", "-o", "p.jsonl")
    items = _predictions(chain / "p.jsonl")
    assert {item["prediction"] for item in items} <= {"sadness", "aroused"}
    assert Counter(item["gold"] for item in items) == {"sadness": 6, "aroused": 12, None: 6}


class TestSpeakers:
    @pytest.fixture
    def other_split(self, adapted: Path) -> Path:
        """A split that tests speakers whose labels the adapted encoder has seen."""
        seen = set(checkpoint.load(adapted / "adapted.safetensors")[0]["labelled_speakers"])
        rewritten = []
        for line in (adapted / "a.jsonl").read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            if item["kind"] == "item":
                swap = {"train": "test", "test": "train"}
                item["split"] = swap.get(item["split"], item["split"])
                assert (item["speaker"] in seen) == (item["split"] == "test")
            rewritten.append(json.dumps(item))
        (adapted / "other.jsonl").write_text(closed("\n".join(rewritten)), encoding="utf-8")
        return adapted

    def test_one_that_was_seen_before(self, other_split: Path) -> None:
        tune = (*FINETUNE, "--steps", 1, "--mode", "frozen")
        annotated = ("--annotations", "other.jsonl")
        encoder = ("--encoder", "adapted.safetensors")
        found = invoke(other_split, *tune, *encoder, *annotated, status=65).stderr
        assert "adapted.safetensors was trained with labels of the test speaker synthA_" in found
        assert not (other_split / "er.safetensors").exists() and litter(other_split) == []
        # The split that the chain kept to is fine, and so is an encoder that saw no labels.
        invoke(other_split, *tune, *encoder)
        invoke(other_split, *tune, "--encoder", "fav.safetensors", *annotated, "-f")
        # From random weights nobody was seen.
        invoke(
            other_split, *FINETUNE, "--steps", 1, *encoder, *annotated, "--mode", "scratch", "-f"
        )

    def test_an_encoder_whose_header_has_no_digest(self, chain: Path) -> None:
        """Of version 1.0: what it says of the speakers it has seen is taken as it stands."""
        path = chain / "fav.safetensors"
        tune = (*FINETUNE, "--steps", 1, "--mode", "frozen", "--encoder", "fav.safetensors")
        assert "no digest" not in invoke(chain, *tune).stderr
        header = checkpoint_header.read_header(path) | {"version": "1.0"}
        del header["header_digest"]
        save_file(load_file(path), path, {"avaffect": json.dumps(header)})
        assert "of version 1.0, which has no digest" in invoke(chain, *tune, "-f").stderr

    def test_what_was_seen_is_handed_on(self, other_split: Path) -> None:
        """Pre-training goes on from the adapted encoder, and the next one knows it still."""
        units = ("--units", "units_a.h5", "--init", "adapted.safetensors")
        invoke(
            other_split, "pretrain-hubert", "a.h5", *units, "--steps", 1, "-o", "next.safetensors"
        )
        tune = (*FINETUNE, "--steps", 1, "--encoder", "next.safetensors")
        found = invoke(other_split, *tune, "--annotations", "other.jsonl", status=65).stderr
        assert "next.safetensors was trained with labels of the test speaker" in found

    def test_one_in_train_and_test(self, chain: Path) -> None:
        lines = (chain / "a.jsonl").read_text(encoding="utf-8").splitlines()
        number = next(i for i, line in enumerate(lines) if '"split":"test"' in line)
        speaker = json.loads(lines[number])["speaker"]
        for part in ("train", "development"):
            moved = [*lines]
            moved[number] = lines[number].replace('"split":"test"', f'"split":"{part}"')
            (chain / "leak.jsonl").write_text(closed("\n".join(moved)), encoding="utf-8")
            tune = (*FINETUNE, "--encoder", "fav.safetensors", "--annotations", "leak.jsonl")
            found = invoke(chain, *tune, status=65).stderr
            assert f"the test speaker {speaker} is also in" in found
            assert "--by speaker" in found and "--allow-speaker-overlap" in found
        # A published division is taken as it is.
        allowed = (*tune, "--steps", 1, "--mode", "frozen", "--allow-speaker-overlap")
        assert f"the test speaker {speaker} is also in" in invoke(chain, *allowed).stderr


class TestFolds:
    @pytest.fixture
    def folds(self, chain: Path) -> Path:
        invoke(chain, "split", "all-a.jsonl", "--folds", 3, "-o", "folds.jsonl")
        return chain

    TUNE = (*FINETUNE, "--encoder", "fav.safetensors", "--mode", "frozen", "--epochs", 2,
            "--folds", 3)  # fmt: skip

    def test_each_utterance_is_tested_once_a_run(self, folds: Path) -> None:
        annotated = ("--annotations", "folds.jsonl")
        found = invoke(folds, *self.TUNE, *annotated, "--runs", 2)
        assert "2 runs of 3 folds" in found.stderr
        runs = checkpoint.load(folds / "er.safetensors")[0]["runs"]
        assert [(r["run"], r["fold"]) for r in runs] == [(r, f) for r in (0, 1) for f in range(3)]
        lines = history(folds / "er.safetensors.metrics.jsonl")
        assert {(li["run"], li["fold"]) for li in lines} == {(r["run"], r["fold"]) for r in runs}
        invoke(folds, "predict", "a.h5", "--model", "er.safetensors", *annotated, "-o", "p.jsonl")
        items = _predictions(folds / "p.jsonl")
        ids = Store(folds / "a.h5").ids
        assert Counter((i["id"], i["run"]) for i in items) == Counter(
            (identifier, run) for identifier in ids for run in (0, 1)
        )
        fold_of = {
            item["id"]: item["fold"]
            for item in map(json.loads, (folds / "folds.jsonl").read_text().splitlines())
            if item["kind"] == "item"
        }
        assert all(item["fold"] == int(fold_of[item["id"]]) for item in items)
        right = [
            np.mean([i["gold"] == i["prediction"] for i in items if i["run"] == run])
            for run in (0, 1)
        ]
        assert _scores(folds, "--split", "all")["accuracy"] == pytest.approx(np.mean(right))

    def test_folds_that_nobody_knows(self, folds: Path) -> None:
        assert "avaffect split --folds 3" in invoke(folds, *self.TUNE, status=65).stderr
        annotated = ("--annotations", "folds.jsonl")
        four = (*self.TUNE[:-1], 4, *annotated)
        assert "folds 0 to 3" in invoke(folds, *four, status=65).stderr
        invoke(folds, *self.TUNE, *annotated)
        predict = ("predict", "a.h5", "--model", "er.safetensors", "-o", "p.jsonl")
        found = invoke(folds, *predict, status=65).stderr
        assert "avaffect split --folds" in found and not (folds / "p.jsonl").exists()


def test_without_splits_everything_is_trained_on(chain: Path) -> None:
    invoke(chain, "preprocess", "all-a.jsonl", "-o", "whole.h5", "-j", 1)
    tune = ("finetune", "whole.h5", "--encoder", "fav.safetensors", "--mode", "frozen")
    invoke(chain, *tune, "--epochs", 2, "-o", "er.safetensors")
    assert "ua" not in history(chain / "er.safetensors.metrics.jsonl")[-1]
    found = checkpoint.load(chain / "er.safetensors")[0]
    speakers = set(Store(chain / "whole.h5").meta["speaker"])
    assert set(found["labelled_speakers"]) == speakers and len(speakers) == 6


def test_the_encoder_behind_a_frozen_head_is_found(chain: Path, tmp_path: Path) -> None:
    tune = (*FINETUNE, "--encoder", "fav.safetensors", "--mode", "frozen", "--epochs", 1)
    invoke(chain, *tune)
    predict = ("predict", chain / "a.h5", "--model", chain / "er.safetensors")
    first = invoke(tmp_path, *predict).stdout
    assert first.count('"kind":"item"') == 24
    (chain / "fav.safetensors").unlink()
    found = invoke(tmp_path, *predict, status=65)
    assert "fav.safetensors, the encoder that was used, is no longer at" in found.stderr
    assert '"kind":"end"' not in found.stdout


def test_a_run_of_runs_makes_no_sense(chain: Path) -> None:
    tune = (*FINETUNE, "--encoder", "fav.safetensors")
    invoke(chain, *tune, "--runs", 0, status=2)
    invoke(chain, *tune, "--folds", 1, status=2)
    invoke(chain, *tune, "--mode", "thawed", status=2)
