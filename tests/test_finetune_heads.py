"""finetune on features and encoders with recurrent heads, on classes and on traces."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_features
import numpy as np
import pytest
import torch
from chain import invoke

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT
from avaffect.data.store import Store
from avaffect.data.traces import resample
from avaffect.evaluation.concordance import ccc
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads import Head, HeadConfiguration
from avaffect.objectives.base import Context
from avaffect.objectives.losses.concordance import concordance
from avaffect.objectives.trace_regression import TraceRegression
from avaffect.recipes.downstream import task_of
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


# -- the loss -------------------------------------------------------------------------------------


def test_concordance_is_that_of_the_evaluation():
    x = torch.randn(3, 7, generator=torch.manual_seed(0))
    y = x * 0.5 + torch.randn(3, 7) * 0.3 + 0.2
    known = torch.rand(3, 7) > 0.3
    gold = torch.where(known, y, torch.nan)
    expected = ccc(x[known].numpy(), y[known].numpy())
    assert float(concordance(x, gold, known)) == pytest.approx(expected, abs=1e-6)
    assert float(concordance(x, x, torch.ones_like(known))) == pytest.approx(1.0, abs=1e-6)
    assert float(concordance(x, gold, torch.zeros_like(known))) == 0.0


def test_gradients_of_concordance():
    gold = torch.randn(2, 5, dtype=torch.float64, generator=torch.manual_seed(1))
    gold[0, 2] = torch.nan
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: concordance(x, gold, ~torch.isnan(gold)), (x,))


def test_the_loss_counts_what_is_known():
    """Traces shorter or longer than the frames, unknown steps, and a label that nobody has."""
    encoder = GivenFeatures(GivenFeaturesConfiguration(1, 10.0))
    head = Head(HeadConfiguration(1, 2))
    with torch.no_grad():
        head.layers[1].weight.copy_(torch.tensor([[1.0], [0.0]]))
        head.layers[1].bias.zero_()
    values = torch.tensor([[1.0, 2.0, 4.0, 9.0], [0.0, 3.0, 0.0, 0.0]])[..., None]
    gold = torch.tensor([[1.0, 2.0, torch.nan], [1.0, 2.0, 7.0]])
    batch = Batch(
        ["a", "b"], {"features": values}, {"features": torch.tensor([4, 2])},
        labels={"arousal": gold, "valence": torch.full((2, 3), torch.nan)},
    )  # fmt: skip
    objective = TraceRegression(head, ("arousal", "valence"), encoder)
    step = objective(batch, Context())
    expected = ccc(np.array([1.0, 2.0, 0.0, 3.0]), np.array([1.0, 2.0, 1.0, 2.0]))
    loss, count = step.losses["ccc_arousal"]
    assert loss.item() == pytest.approx((1 - expected) / 2, abs=1e-6) and count.item() == 1
    assert [part.item() for part in step.losses["ccc_valence"]] == [0.0, 0.0]
    assert objective.coupled


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
        tensors["runs.1.head.standardisation.mean"], frames.mean(axis=0), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        tensors["runs.1.head.standardisation.std"], frames.std(axis=0), rtol=1e-4
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
    assert "the model behind the features has seen labels of the test speaker" in found
    (adapted / "adapted.safetensors").unlink()
    found = invoke(adapted, "finetune", "features.h5", *folds, "--epochs", 1).stderr
    assert "whose labels the model behind features.h5 has seen" in found


# -- a share of the labels ------------------------------------------------------------------------


def test_a_share_of_the_labels(folder: Path):
    task = task_of([Store(folder / "f.h5")], FinetuneSettings(media=(folder / "f.h5",)), SILENT)
    train = np.array([split == "train" for split in task.utterances.splits])
    share = task.share(train, 0.25, 7)
    assert share.sum() == 8 and not (share & ~train).any()
    assert np.bincount(task.utterances.targets[share]).tolist() == [4, 4]
    # Trained on those alone: the standardisation is theirs.
    invoke(folder, "finetune", "f.h5", *BGRU, "--epochs", 1, "--fraction", 0.25, "--seed", 7)
    tensors = checkpoint.load(folder / "classifier.safetensors")[1]
    store = Store(folder / "f.h5")
    frames = [
        store.read("features", store.rows[task.utterances.ids[r]]) for r in np.flatnonzero(share)
    ]
    np.testing.assert_allclose(
        tensors["runs.0.head.standardisation.mean"], np.concatenate(frames).mean(axis=0),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    for wrong in (0, 1.5):
        wrong_share = ("--fraction", wrong, "-o", "x")
        assert "--fraction" in invoke(folder, "finetune", "f.h5", *wrong_share, status=2).stderr


# -- traces ---------------------------------------------------------------------------------------

TRACES = ("--label", "arousal", "--label", "valence")


@pytest.mark.parametrize("head", ["linear", "bgru"])
def test_traces_are_learned_at_the_rate_of_the_head(folder: Path, head: str):
    steps = ("--frames-per-step", 5, *BGRU) if head == "bgru" else ("--head-learning-rate", 0.05)
    invoke(folder, "finetune", "f.h5", *TRACES, *steps, "--epochs", 8, "--runs", 2)
    header = checkpoint.load(folder / "classifier.safetensors")[0]
    rate = 10.0 if head == "bgru" else 50.0
    assert header["traces"] == {"names": ["arousal", "valence"], "rate_hz": rate}
    assert "labels" not in header
    best = header["runs"][0]["metrics"]["development"]
    assert best["ccc"] == pytest.approx((best["ccc_arousal"] + best["ccc_valence"]) / 2)
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", "--split", "test",
           "-o", "p.h5")  # fmt: skip
    given, made = Store(folder / "f.h5"), Store(folder / "p.h5")
    assert made.count == 8 and made.meta["split"] == ["test"] * 8
    assert made.labels["arousal"].rate_hz == rate and made.labels["arousal"].raters == 2
    pairs = []
    for row, identifier in enumerate(made.ids):
        gold = given.trace("arousal", given.rows[identifier])
        predicted = made.trace("arousal", row)
        assert predicted.shape[1] == 2 and not np.isnan(predicted).any()
        pairs.append((resample(predicted[:, 0], rate, 10.0, len(gold)), gold))
    predicted, gold = (np.concatenate(side) for side in zip(*pairs))
    assert ccc(predicted, gold) > 0.8
    found = invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", status=2).stderr
    assert "-o P.h5" in found


def test_traces_of_folds_are_one_column_a_run(folder: Path):
    invoke(folder, "finetune", "f.h5", *TRACES, *BGRU, "--epochs", 1, "--folds", 3, "--runs", 2)
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", "-o", "p.h5")
    made = Store(folder / "p.h5")
    assert made.count == 48 and made.labels["valence"].raters == 2
    assert not any(np.isnan(made.trace("valence", row)).any() for row in range(made.count))


def test_mistakes_with_traces(folder: Path):
    def refused(*options: object, status: int = 65) -> str:
        return invoke(folder, "finetune", "f.h5", *options, "-o", "x", status=status).stderr

    assert "where all are traces" in refused(*TRACES, "--label", "emotion", status=2)
    assert "--classes goes with class labels" in refused(*TRACES, "--classes", "a,b", status=2)
    assert "is scored by ccc" in refused(*TRACES, "--select", "ua", status=2)
    assert "is scored by ua" in refused("--select", "ccc", status=2)
    assert "ties the utterances" in refused(*TRACES, "--accumulate", 2, status=2)
    assert "has no label 'dominance'" in refused("--label", "dominance")
    assert "needs an --encoder" in refused("--mode", "scratch", status=2)
    assert "goes with --head bgru" in refused("--frames-per-step", 2, status=2)
    assert "--folds 2" in refused("--folds", 2, status=2)
    assert "this encoder reads features alone" in refused("--modality", "video", status=2)
