"""Kinds of labels that a head learns: scalars, votes, and several labels at once."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import two_stores
from chain import invoke
from label_heads import linear, named
from two_stores import CLASSES, QUICK, TWO, features, report, store, trained

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.corpora import cremad
from avaffect.data.items import labels_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.evaluation import distributions
from avaffect.evaluation.concordance import ccc
from avaffect.models.encoder import Frames
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.objectives.losses.kullback_leibler import kullback_leibler
from avaffect.objectives.losses.soft_cross_entropy import soft_cross_entropy
from avaffect.recipes.downstream import one_run
from avaffect.recipes.downstream.tasks.scalar_task import ScalarTask
from avaffect.training import checkpoint

TABLES = Path(__file__).parents[2] / "shared" / "data" / "labels" / "crema-d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    two_stores.write(tmp_path)
    return tmp_path


def annotate(folder: Path, label: str, kind: str, unit: float, level: float) -> None:
    """unit.jsonl: the labels of slow.h5 in another unit, around another level."""
    store = Store(folder / "slow.h5")
    values = (
        [store.trace(label, row) for row in range(store.count)]
        if kind == "trace"
        else [value if np.isfinite(value) else None for value in store.label(label).tolist()]
    )
    items = []
    for identifier, value in zip(store.ids, values):
        other = None if value is None else (np.float64(value) * unit + level).tolist()
        items.append({"id": identifier, "labels": {label: other}})
    facts = {"kind": kind, "rate_hz": 10.0} if kind == "trace" else {"kind": kind}
    manifest.write(
        folder / "unit.jsonl", manifest.new_header("corpus", labels={label: facts}), items
    )


# -- scalars --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [(), ("--loss", "mse=1"), ("--loss", "mae=1")])
def test_a_scalar_is_learned(folder: Path, loss: tuple) -> None:
    header = trained(folder, "--label", "arousal_mean", *loss)
    assert header["scalars"] == ["arousal_mean"] and "labels" not in header
    found = report(folder, "eval-ccc", "p.jsonl")
    scores = found["pooled"]["arousal_mean"]
    assert scores["ccc"] > 0.9 and scores["rmse"] < 0.4 and found["content"] == "scalars"
    # One of the 16 of the split has no value.
    assert scores["count"] == found["count"] == 15
    assert found["missing_gold"] == {"arousal_mean": 1}
    items = [i for i in manifest.read(folder / "p.jsonl").items if i["split"] == "test"]
    pairs = np.array([(i["prediction"], i["gold"]) for i in items if i["gold"] is not None])
    assert scores["ccc"] == pytest.approx(ccc(*pairs.T))


@pytest.mark.parametrize(
    ("kind", "loss"), [("scalar", "ccc=1"), ("scalar", "mae=1"), ("trace", "mse=1")]
)
def test_the_unit_of_a_label_changes_nothing(folder: Path, kind: str, loss: str) -> None:
    """The same is learned of a label in any unit and around any level; traces from -1 to 1, which
    losses were published for, stay as they are."""
    label = {"scalar": "arousal_mean", "trace": "arousal"}[kind]
    options = ("--label", label, "--loss", loss, "--steps", 40, "-f", "-o", "c.safetensors")
    found = []
    for unit, level in ((1.0, 50.0), (1e-6, 5e-6), (1e30, -1e30)):
        annotate(folder, label, kind, unit, level)
        invoke(folder, "finetune", "slow.h5", *TWO, "--annotations", "unit.jsonl", *options)
        header, _ = checkpoint.load(folder / "c.safetensors")
        found.append(header["runs"][0]["metrics"]["development"]["ccc"])
    assert found[0] > 0.05 and found == pytest.approx([found[0]] * 3, rel=1e-3)


@pytest.mark.parametrize("unit", [1e-6, 1e30])
def test_a_scalar_is_predicted_in_its_own_unit(folder: Path, unit: float) -> None:
    annotate(folder, "arousal_mean", "scalar", unit, 0.0)
    annotated = ("--annotations", "unit.jsonl")
    options = ("--label", "arousal_mean", "--loss", "mse=1", *annotated)
    invoke(folder, "finetune", "slow.h5", *TWO, *QUICK, *options, "-o", "c.safetensors")
    invoke(folder, "predict", "slow.h5", *TWO, *annotated, "--model", "c.safetensors",
           "-o", "p.jsonl")  # fmt: skip
    scores = report(folder, "eval-ccc", "p.jsonl")["pooled"]["arousal_mean"]
    assert scores["ccc"] > 0.9 and 0 < scores["rmse"] < 0.4 * unit


def test_scores_of_scalars_are_compared(folder: Path) -> None:
    trained(folder, "--label", "arousal_mean", "--runs", 2)
    again = report(folder, "eval-ccc", "p.jsonl", "--gold", "slow.h5", "--bootstrap", 50)
    low, high = again["interval"]["pooled"]["arousal_mean"]["ccc"]
    assert low < again["pooled"]["arousal_mean"]["ccc"] < high
    mae = again["pooled"]["arousal_mean"]["mae"]
    invoke(folder, "eval-ccc", "p.jsonl", "--accuracy", "--json", status=2)
    lines = invoke(folder, "eval-ccc", "p.jsonl", "--accuracy").stdout.splitlines()
    label, average = lines[-2].split("\t"), lines[-1].split("\t")
    assert label == ["arousal_mean", "average"]
    assert [float(cell) for cell in average] == pytest.approx([1 - mae] * 2, abs=1e-5)
    invoke(folder, "eval-ccc", "p.jsonl", "-o", "two.json")
    trained(folder, "--label", "arousal_mean", "--runs", 2, given=("--features", "slow=slow.h5"))
    invoke(folder, "eval-ccc", "p.jsonl", "-o", "one.json")
    found = report(folder, "compare", "one.json", "two.json")
    assert found["of"] == "scalars" and found["scores"] == ["arousal_mean.ccc"]
    # With half of what the label follows from.
    assert found["rows"][1]["scores"]["arousal_mean.ccc"]["difference"] > 0.1
    # Predictions are scored on the way.
    assert report(folder, "compare", "p.jsonl")["rows"][0]["count"] == 15
    assert invoke(folder, "eval-class", "p.jsonl", status=65).stderr


def test_a_scalar_that_never_changes_cannot_be_learned(folder: Path) -> None:
    rows = [{"identifier": f"u{n}", "streams": {"features": np.ones((3, 2), "float32") * n},
             "labels": {"a": 2.0}, "meta": {}} for n in range(4)]  # fmt: skip
    store(folder / "flat.h5", features(10.0, 2, "x"), {"a": LabelSpec("scalar")}, rows)
    invoke(folder, "finetune", "flat.h5", "--label", "a", status=65)


@pytest.mark.parametrize(("spread", "refused"), [(1.0, True), (100.0, False)])
def test_a_scalar_that_float32_does_not_resolve(spread: float, refused: bool) -> None:
    """Around 1e7 its steps are of 1."""
    values = (1e7 + spread * np.random.default_rng(0).normal(size=99)).astype(np.float32)
    with pytest.raises(DataError, match="subtract") if refused else contextlib.nullcontext():
        ScalarTask("age", values, {"mse": 1.0}).check("a.h5")


def test_the_concordance_of_one_utterance_is_no_loss(folder: Path) -> None:
    alone = ("finetune", "slow.h5", "--label", "arousal_mean", "--batch-utterances", 1)
    invoke(folder, *alone, status=2)
    invoke(folder, *alone, "--loss", "mse=1", "--steps", 1)


def test_batches_of_one_utterance_by_their_seconds(folder: Path) -> None:
    """All utterances last 2 s."""
    alone = ("finetune", "slow.h5", "--label", "arousal_mean", "--steps", 1, "-f")
    gru = (*alone, "--head", "gru", "--hidden", 4, "--batch-seconds")
    assert "--batch-seconds 3: 58 of 58" in invoke(folder, *gru, 3, status=2).stderr
    said = invoke(folder, *gru, 3, "--loss", "ccc=1,mse=1").stderr
    assert "--batch-seconds 3: 58 of 58" in said
    for command in ((*gru, 5), (*gru, 3, "--loss", "mse=1"), (*alone, "--batch-seconds", 3)):
        assert "alone" not in invoke(folder, *command).stderr


@pytest.mark.parametrize(
    ("kind", "value"),
    [("scalar", True), ("scalar", "high"), ("scalar", 1e300), ("distribution", {"anger": "two"}),
     ("distribution", [True, 0, 0]), ("distribution", {"anger": -1, "neutral": 3}),
     ("distribution", {"joy": 1}), ("distribution", [1, 2]), ("class", "")],
)  # fmt: skip
def test_a_value_that_is_none_of_its_kind_is_named(kind: str, value: object) -> None:
    spec = LabelSpec(kind, CLASSES if kind == "distribution" else ())
    with pytest.raises(DataError, match="u1: label rated"):
        labels_of({"id": "u1", "labels": {"rated": value}}, {"rated": spec})


# -- votes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["kl", "ce"])
def test_votes_are_learned_as_distributions(folder: Path, loss: str) -> None:
    header = trained(folder, "--label", "votes", "--loss", f"{loss}=1", "--head-penalty", 0)
    assert header["distributions"] == {"votes": list(CLASSES)}
    found = report(folder, "eval-class", "p.jsonl")
    assert found["kl"] < 0.2 and found["ua"] > 0.8 and found["ce"] > found["kl"]
    again = report(folder, "eval-class", "p.jsonl", "--gold", "slow.h5")
    assert again["kl"] == pytest.approx(found["kl"], abs=1e-4) and again["ua"] == found["ua"]
    assert again["missing_gold"] == found["missing_gold"]
    item = next(i for i in manifest.read(folder / "p.jsonl").items if i["gold_scores"] is not None)
    assert sum(item["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert sum(item["gold_scores"].values()) == pytest.approx(1, abs=1e-5)
    assert item["prediction"] == max(item["scores"], key=item["scores"].get)


def test_votes_for_merged_classes_are_added_up(folder: Path) -> None:
    header = trained(folder, "--label", "votes", "--classes", "active=anger+happiness,neutral")
    assert header["distributions"] == {"votes": ["active", "neutral"]}
    item = next(i for i in manifest.read(folder / "p.jsonl").items if i["gold_scores"] is not None)
    votes = np.asarray(Store(folder / "slow.h5").label("votes"))[int(item["id"][1:])]
    assert item["gold_scores"]["active"] == pytest.approx(votes[:2].sum() / votes.sum(), abs=1e-5)


def test_predictions_are_scored_by_votes(tmp_path: Path) -> None:
    """Two votes of u1 are a tie, which merging decides."""
    votes = [{"a": 3, "b": 1}, {"a": 1, "b": 1}, {"b": 1, "c": 2}]
    said = [("a", (0.6, 0.3, 0.1)), ("b", (0.2, 0.5, 0.3)), ("b", (0.1, 0.6, 0.3))]
    specs = {"rated": {"kind": "distribution", "classes": ["a", "b", "c"]}}
    gold = [{"id": f"u{n}", "labels": {"rated": row}} for n, row in enumerate(votes)]
    manifest.write(tmp_path / "g.jsonl", manifest.new_header("corpus", labels=specs), gold)
    items = [{"id": f"u{n}", "prediction": name, "scores": dict(zip("abc", shares))}
             for n, (name, shares) in enumerate(said)]  # fmt: skip
    header = manifest.new_header("predictions", target="rated", classes=["a", "b", "c"])
    manifest.write(tmp_path / "p.jsonl", header, items)

    def kl(*pairs: tuple[float, float]) -> float:
        return sum(y * np.log(y / p) for y, p in pairs) / 3

    command = ("eval-class", "p.jsonl", "--gold", "g.jsonl")
    found = report(tmp_path, *command)
    assert (found["count"], found["missing_gold"], found["accuracy"]) == (2, 1, 0.5)
    third = ((1 / 3, 0.6), (2 / 3, 0.3))
    expected = kl((0.75, 0.6), (0.25, 0.3), (0.5, 0.2), (0.5, 0.5), *third)
    assert found["kl"] == pytest.approx(expected) and found["runs"][0]["votes"] == 3
    found = report(tmp_path, *command, "--classes", "c,ab=a+b")
    assert found["confusion"] == {"classes": ["c", "ab"], "matrix": [[0, 1], [0, 2]]}
    assert found["kl"] == pytest.approx(kl((1, 0.9), (1, 0.7), (1 / 3, 0.7), (2 / 3, 0.3)))
    # Without c, u2's two votes for it count for nothing, and neither does what was said of it.
    found = report(tmp_path, *command, "--classes", "a,b")
    assert found["kl"] == pytest.approx(
        kl((0.75, 2 / 3), (0.25, 1 / 3), (0.5, 2 / 7), (0.5, 5 / 7), (1, 6 / 7))
    )


def test_an_empty_name_is_no_class(folder: Path) -> None:
    finetune = ("finetune", "slow.h5", "--annotations", "a.jsonl", "--steps", 1, "-o", "c")
    item = {"id": "u00", "labels": {"emotion": ""}}
    manifest.write(folder / "a.jsonl", manifest.new_header("corpus"), [item])
    invoke(folder, *finetune, status=65)
    specs = {"emotion": {"kind": "class", "classes": ["anger", ""]}}
    item["labels"]["emotion"] = "anger"
    manifest.write(folder / "a.jsonl", manifest.new_header("corpus", labels=specs), [item])
    invoke(folder, *finetune, status=65)


def test_distributions_by_hand() -> None:
    votes = np.array([[1, 1, 2], [0, 0, 0], [3, 3, 0], [np.nan, 1, 1]])
    shares = distributions.shares(votes)
    np.testing.assert_allclose(shares[0], [0.25, 0.25, 0.5])
    assert np.isnan(shares[[1, 3]]).all()
    assert distributions.majority(shares).tolist() == [2, -1, -1, -1]
    said = np.array([[0.5, 0.25, 0.25]])
    expected = 0.25 * np.log(0.5) + 0.25 * np.log(1.0) + 0.5 * np.log(2.0)
    np.testing.assert_allclose(distributions.divergence(said, shares[:1]), expected)
    entropy = -(shares[0] * np.log(shares[0])).sum()
    np.testing.assert_allclose(distributions.cross_entropy(said, shares[:1]), expected + entropy)


def test_losses_of_votes_against_a_loop() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=random, dtype=torch.float64).requires_grad_()
    shares = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [np.nan] * 3, [0.2, 0.3, 0.5]]).double()
    probabilities = logits.detach().softmax(dim=1)
    ce = kl = 0.0
    for row in (0, 1, 3):
        for p, y in zip(probabilities[row].tolist(), shares[row].tolist()):
            ce -= y * np.log(p)
            kl += y * np.log(y / p) if y else 0.0
    for loss, expected in ((soft_cross_entropy, ce), (kullback_leibler, kl)):
        total, count = loss(logits, shares)
        assert (total.item(), count.item()) == (pytest.approx(expected), 3)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, shares)[0], [logits])


@pytest.mark.skipif(not TABLES.is_dir(), reason="needs CREMA-D's tables in ../shared")
def test_the_votes_of_crema_d(tmp_path: Path) -> None:
    """The summary table: the emotions that most raters chose, several where they tied."""
    with (TABLES / "summaryTable.csv").open() as stream:
        rows = list(csv.DictReader(stream))[:: 7442 // 240]
    letters = sorted(cremad.LETTERS)
    streams = []
    random = np.random.default_rng(0)
    (tmp_path / "wav").mkdir()
    for row in rows:
        (tmp_path / "wav" / f"{row['FileName']}.wav").touch()
        seen = np.array([letter in row["MultiModalVote"].split(":") for letter in letters])
        values = seen + 0.3 * random.normal(size=(5, len(letters)))
        streams.append({"identifier": f"cremad_{row['FileName']}", "meta": {},
                        "streams": {"features": values.astype("float32")}})  # fmt: skip
    invoke(tmp_path, "manifest", "cremad", "wav", "--tables", TABLES, "-o", "all.jsonl")
    invoke(tmp_path, "split", "all.jsonl", "--by", "speaker", "--ratios", 70, 10, 20,
           "-o", "m.jsonl")  # fmt: skip
    store(tmp_path / "f.h5", features(10.0, len(letters), "votes"), {}, streams)
    invoke(tmp_path, "finetune", "f.h5", "--annotations", "m.jsonl", "--label", "most_voted",
           "--epochs", 30)  # fmt: skip
    invoke(tmp_path, "predict", "f.h5", "--annotations", "m.jsonl", "--model",
           "classifier.safetensors", "-o", "p.jsonl")  # fmt: skip
    items = {item["id"]: item for item in manifest.read(tmp_path / "p.jsonl").items}
    tied = next(row for row in rows if ":" in row["MultiModalVote"])
    item = items[f"cremad_{tied['FileName']}"]
    chosen = [cremad.LETTERS[letter] for letter in tied["MultiModalVote"].split(":")]
    assert item["gold"] is None
    assert {n for n, share in item["gold_scores"].items() if share} == set(chosen)
    found = report(tmp_path, "eval-class", "p.jsonl")
    assert found["accuracy"] > 0.8 and found["kl"] < 0.7


# -- several labels -------------------------------------------------------------------------------


def test_a_class_and_a_scalar_are_learned_together(folder: Path) -> None:
    labels = ("--label", "emotion", "--label", "arousal_mean")
    header = trained(folder, *labels, "--loss", "emotion:ce=0.5", "--loss", "arousal_mean:mse=2")
    assert header["labels"] == {"emotion": list(CLASSES)} and header["scalars"] == ["arousal_mean"]
    metrics = header["runs"][0]["metrics"]["development"]
    assert metrics["ua"] == metrics["ua_emotion"] and metrics["ccc"] == metrics["ccc_arousal_mean"]
    assert report(folder, "eval-class", "p.jsonl")["ua"] > 0.8
    assert report(folder, "eval-ccc", "p.jsonl")["pooled"]["arousal_mean"]["ccc"] > 0.75
    found = report(folder, "eval-class", "p.jsonl", "--label", "emotion")
    assert found["target"] == "emotion" and found["count"] == 16
    # A label that is not in the predictions is no reason to score another.
    for command in ("eval-class", "eval-ccc"):
        found = invoke(folder, command, "p.jsonl", "--label", "nope", status=65)
        assert "emotion, arousal_mean" in found.stderr and "'nope'" in found.stderr


def test_weights_of_losses_reach_the_objective(folder: Path, monkeypatch) -> None:
    seen = {}
    train = one_run.train

    def noted(objective, *rest):
        seen.update(objective.weights)
        return train(objective, *rest)

    monkeypatch.setattr(one_run, "train", noted)
    labels = ("--label", "emotion", "--label", "arousal_mean", "--epochs", 1)
    invoke(folder, "finetune", "slow.h5", *labels, "--loss", "emotion:ce=0.5",
           "--loss", "arousal_mean:mse=2", "-f", "-o", "c")  # fmt: skip
    assert sorted(seen.values()) == [0.5, 2.0]


def test_what_is_chosen_by_is_named_by_label(folder: Path) -> None:
    labels = ("--label", "emotion", "--label", "arousal_mean", "--epochs", 2)
    for chosen in ("auto", "ccc", "ccc_arousal_mean", "none"):
        invoke(folder, "finetune", "slow.h5", *labels, "--select", chosen, "-f", "-o", "c")
    for unknown in ("ccc_emotion", "rmse", "ua_arousal_mean"):
        invoke(
            folder, "finetune", "slow.h5", *labels, "--select", unknown, "-f", "-o", "c", status=2
        )


def test_traces_and_labels_of_utterances_go_to_files_of_their_own(folder: Path) -> None:
    options = ("--label", "arousal", "--label", "emotion", "--epochs", 3)
    invoke(folder, "finetune", "slow.h5", *TWO, *options, "--head", "gru", "--hidden", 4,
           "-o", "c.safetensors")  # fmt: skip
    command = ("predict", "slow.h5", *TWO, "--model", "c.safetensors")
    invoke(folder, *command, "-o", "p.h5", status=2)
    invoke(folder, *command, "--label", "dominance", "-o", "p.h5", status=2)
    invoke(folder, *command, "--label", "arousal", "-o", "p.h5")
    invoke(folder, *command, "--label", "emotion", "-o", "p.jsonl")
    assert list(Store(folder / "p.h5").labels) == ["arousal"]
    assert {i["target"] for i in manifest.read(folder / "p.jsonl").items} == {"emotion"}
    # In windows, each stream at its own rate, hardly anything changes for a head of means.
    invoke(folder, "finetune", "slow.h5", *TWO, "--label", "arousal", "--epochs", 3, "-f",
           "-o", "c.safetensors")  # fmt: skip
    invoke(folder, *command, "-f", "-o", "whole.h5")
    invoke(folder, *command, "--window", 0.7, "--step", 0.3, "-f", "-o", "windows.h5")
    whole, windows = Store(folder / "whole.h5"), Store(folder / "windows.h5")
    for row in range(whole.count):
        difference = whole.trace("arousal", row) - windows.trace("arousal", row)
        # Windows begin between frames of the slower stream.
        assert np.abs(difference).mean() < 0.1
        # At the rate of the faster stream, as long as the longer one.
        assert len(whole.trace("arousal", row)) == 50


def test_a_scalar_is_said_in_its_own_unit() -> None:
    labels = (Readout("emotion", "class", classes=2), Readout("arousal", "scalar", value=True))
    head = LabelHead.of(linear(3, 3), labels)
    head.scale(1).copy_(torch.tensor([3.0, 0.5]))
    said = head(named(Frames(torch.randn(4, 2, 3), torch.tensor([2, 2, 1, 2]))))
    found = head.utterances(said)
    torch.testing.assert_close(found[:, :2], said.utterance[:, :2])
    torch.testing.assert_close(found[:, 2], 3 + 0.5 * said.utterance[:, 2])
