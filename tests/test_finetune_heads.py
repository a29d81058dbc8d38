"""finetune on features and encoders with recurrent heads, on classes and on traces."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_features
import numpy as np
import pytest
from chain import invoke

from avaffect.core.progress import SILENT
from avaffect.data.store.reader import Store
from avaffect.recipes.downstream.tasks.labels import labels_of
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

BGRU = ("--head", "bgru", "--hidden", 8, "--layers", 1, "--head-learning-rate", 0.02,
        "--batch-utterances", 8, "--schedule", "constant", "--warmup", 0)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_features.write(tmp_path / "f.h5")
    return tmp_path


def items(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:-1]


# -- classes --------------------------------------------------------------------------------------


def test_order_in_time_is_learned_by_the_recurrent_head_alone(folder: Path):
    invoke(folder, "finetune", "f.h5", *BGRU, "--epochs", 12, "--runs", 2, "-o", "bgru.safetensors")
    header, tensors = checkpoint.load(folder / "bgru.safetensors")
    assert header["mode"] == "frozen" and header["encoder"]["name"] == "features"
    assert header["preprocessing"]["features"] == {"front_end": "features"}
    # Standardised by all frames of the training part.
    train = [row for row, split in enumerate(Store(folder / "f.h5").meta["split"])
             if split == "train"]  # fmt: skip
    frames = np.concatenate([Store(folder / "f.h5").read("features", row) for row in train])
    np.testing.assert_allclose(
        tensors["runs.1.head.head.standardisation.mean"], frames.mean(axis=0), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        tensors["runs.1.head.head.standardisation.std"], frames.std(axis=0), rtol=1e-4
    )
    invoke(folder, "finetune", "f.h5", "--epochs", 12, "-o", "linear.safetensors")
    accuracy = {}
    for head in ("bgru", "linear"):
        invoke(folder, "predict", "f.h5", "--model", f"{head}.safetensors", "-o", f"{head}.jsonl")
        found = invoke(folder, "eval-class", f"{head}.jsonl", "--json").stdout
        accuracy[head] = json.loads(found)["accuracy"]
    assert accuracy["bgru"] == 1.0 and accuracy["linear"] < 0.9
    kept = header["runs"][0]["metrics"]["development"]
    assert kept["ua"] == 1.0 and {"accuracy", "f1_macro"} <= kept.keys()


def test_folds_are_each_predicted_by_the_run_that_did_not_see_them(folder: Path):
    invoke(folder, "finetune", "f.h5", *BGRU, "--epochs", 6, "--folds", 3, "--runs", 2)
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", "-o", "p.jsonl")
    found = items(folder / "p.jsonl")
    assert len(found) == 2 * 48 and {item["run"] for item in found} == {0, 1}
    assert all(item["fold"] == int(item["speaker"][1:]) % 3 for item in found)


def test_features_of_another_model_are_refused(folder: Path):
    invoke(folder, "finetune", "f.h5", *BGRU, "--epochs", 1)
    labelled_features.write(folder / "other.h5", made="others")
    predict = ("predict", "other.h5", "--model", "classifier.safetensors")
    assert "not those that" in invoke(folder, *predict, status=65).stderr
    found = invoke(folder, "finetune", "f.h5", "other.h5", "-o", "x.safetensors", status=65).stderr
    assert "is in f.h5 and in other.h5" in found or "features of different models" in found


def test_an_encoder_and_its_extracted_features_give_the_same_head(chain: Path):
    """finetune on a frozen encoder, and on what extract made of it."""
    options = ("--head", "bgru", "--hidden", 4, "--epochs", 2, "--batch-utterances", 8,
               "--crop-seconds", 60)  # fmt: skip
    invoke(chain, "extract", "a.h5", "--model", "fav.safetensors", "-o", "features.h5")
    invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen",
           *options, "-o", "one.safetensors")  # fmt: skip
    invoke(chain, "finetune", "features.h5", *options, "-o", "two.safetensors")
    for media, model in (("a.h5", "one"), ("features.h5", "two")):
        invoke(chain, "predict", media, "--model", f"{model}.safetensors", "-o", f"{model}.jsonl")
    pairs = zip(items(chain / "one.jsonl"), items(chain / "two.jsonl"))
    for one, two in pairs:
        assert one["id"] == two["id"]
        assert one["scores"] == pytest.approx(two["scores"], abs=2e-2)


def test_labels_that_the_model_behind_features_has_seen(adapted: Path):
    """Leakage is found through the features, and a model that is gone is told."""
    invoke(adapted, "extract", "a.h5", "--model", "adapted.safetensors", "-o", "features.h5")
    invoke(adapted, "split", "all-a.jsonl", "--folds", 3, "-o", "folds.jsonl")
    folds = ("--folds", 3, "--annotations", "folds.jsonl", "-o", "er.safetensors")
    found = invoke(adapted, "finetune", "features.h5", *folds, status=65).stderr
    assert "the model behind the features was trained with labels of the test speaker" in found
    (adapted / "adapted.safetensors").unlink()
    found = invoke(adapted, "finetune", "features.h5", *folds, "--epochs", 1).stderr
    assert "whose labels the model behind features.h5 has seen" in found


# -- a share of the labels ------------------------------------------------------------------------


def test_a_share_of_the_labels(folder: Path):
    settings = FinetuneSettings(media=(folder / "f.h5",))
    labels = labels_of([Store(folder / "f.h5")], settings, SILENT)
    train = np.array([split == "train" for split in labels.utterances.splits])
    share = labels.share(train, 0.25, 7)
    assert share.sum() == 8 and not (share & ~train).any()
    assert np.bincount(labels.tasks[0].targets[share]).tolist() == [4, 4]
    # Trained on those alone: the standardisation is theirs.
    invoke(folder, "finetune", "f.h5", *BGRU, "--epochs", 1, "--fraction", 0.25, "--seed", 7)
    tensors = checkpoint.load(folder / "classifier.safetensors")[1]
    store = Store(folder / "f.h5")
    frames = [
        store.read("features", store.rows[labels.utterances.ids[r]]) for r in np.flatnonzero(share)
    ]
    np.testing.assert_allclose(
        tensors["runs.0.head.head.standardisation.mean"], np.concatenate(frames).mean(axis=0),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    for wrong in (0, 1.5):
        wrong_share = ("--fraction", wrong, "-o", "x")
        assert "--fraction" in invoke(folder, "finetune", "f.h5", *wrong_share, status=2).stderr
