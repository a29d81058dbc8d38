"""What a head learns: scalars, votes and classes, several labels at once, features of two stores,
heads of other packages."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import invoke
from label_heads import linear, named
from torch import Tensor, nn

from avaffect.core.errors import DataError, UsageError
from avaffect.core.registry import Part
from avaffect.data import manifest
from avaffect.data.corpora import cremad
from avaffect.data.items import labels_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.evaluation import distributions
from avaffect.evaluation.concordance import ccc
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import FrameHead, HeadInput, Outputs, inputs_of, joined, means
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.linear import LinearHead, LinearHeadConfiguration
from avaffect.objectives.losses.kullback_leibler import kullback_leibler
from avaffect.objectives.losses.soft_cross_entropy import soft_cross_entropy
from avaffect.recipes.downstream import finetuning
from avaffect.settings.feature_stores import parse_features
from avaffect.training import checkpoint

CLASSES = ("anger", "happiness", "neutral")
COUNT, DIM = 96, 4
TABLES = Path(__file__).parents[2] / "shared" / "data" / "labels" / "crema-d"
QUICK = ("--epochs", 40, "--batch-utterances", 16)
TWO = ("--features", "slow=slow.h5", "--features", "fast=fast.h5")


def store(path: Path, streams: dict, labels: dict[str, LabelSpec], rows: list[dict]) -> None:
    with store_writer(path, {}, streams=streams, labels=labels) as writer:
        for row in rows:
            writer.add(**row)


def features(rate: float, dim: int, made: str) -> dict[str, StreamSpec]:
    return {"features": StreamSpec("features", "float32", rate, (dim,), made={"front_end": made})}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """slow.h5 (10 Hz, 2 wide, with all labels) and fast.h5 (25 Hz, 4 wide): half of what the labels
    follow from is in each. Some utterances lack a label, or are in slow.h5 alone."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(COUNT, DIM))
    weights = random.normal(size=(DIM, len(CLASSES))) * 2
    labels = {
        "emotion": LabelSpec("class", CLASSES), "votes": LabelSpec("distribution", CLASSES),
        "arousal_mean": LabelSpec("scalar"), "arousal": LabelSpec("trace", rate_hz=10.0),
    }  # fmt: skip
    slow, fast = [], []
    for row in range(COUNT):
        shares = np.exp(hidden[row] @ weights)
        known = {
            "emotion": CLASSES[int(shares.argmax())],
            "votes": np.round(20 * shares / shares.sum()),
            "arousal_mean": 3 + 0.5 * float(hidden[row, 0] - hidden[row, 3]),
            "arousal": np.full(20, 0.3 * hidden[row, 0]) + 0.1 * np.sin(np.arange(20)),
        }
        split = ("train", "train", "train", "train", "development", "test")[row * 6 // COUNT]
        meta = {"speaker": f"s{row * 6 // COUNT}", "split": split}
        for name in ("votes", "arousal_mean"):
            if row % 12 == 0:
                del known[name]
        values = hidden[row, :2] + 0.1 * random.normal(size=(20, 2))
        slow.append({"identifier": f"u{row:02}", "streams": {"features": values.astype("float32")},
                     "labels": known, "meta": meta})  # fmt: skip
        values = np.tile(hidden[row, 2:], 2) + 0.1 * random.normal(size=(50, 4))
        if row % 15:
            fast.append({"identifier": f"u{row:02}", "meta": {},
                         "streams": {"features": values.astype("float32")}})  # fmt: skip
    store(tmp_path / "slow.h5", features(10.0, 2, "slow"), labels, slow)
    store(tmp_path / "fast.h5", features(25.0, 4, "fast"), {}, fast)
    return tmp_path


def report(folder: Path, *command: object) -> dict[str, Any]:
    return json.loads(invoke(folder, *command, "--json").stdout)


def trained(folder: Path, *options: object, given: tuple = TWO) -> dict[str, Any]:
    """Trained on both stores, and predicted into p.jsonl; the header of the classifier."""
    invoke(folder, "finetune", "slow.h5", *given, *QUICK, *options, "-f", "-o", "c.safetensors")
    invoke(folder, "predict", "slow.h5", *given, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
    return checkpoint.load(folder / "c.safetensors")[0]


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


def test_scores_of_scalars_are_compared(folder: Path) -> None:
    trained(folder, "--label", "arousal_mean", "--runs", 2)
    again = report(folder, "eval-ccc", "p.jsonl", "--gold", "slow.h5", "--bootstrap", 50)
    low, high = again["interval"]["pooled"]["arousal_mean"]["ccc"]
    assert low < again["pooled"]["arousal_mean"]["ccc"] < high
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


def test_the_concordance_of_one_utterance_is_no_loss(folder: Path) -> None:
    alone = ("finetune", "slow.h5", "--label", "arousal_mean", "--batch-utterances", 1)
    invoke(folder, *alone, status=2)
    invoke(folder, *alone, "--loss", "mse=1", "--steps", 1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("scalar", True), ("scalar", "high"), ("scalar", 1e300), ("distribution", {"anger": "two"}),
     ("distribution", [True, 0, 0]), ("distribution", {"anger": -1, "neutral": 3}),
     ("distribution", {"joy": 1}), ("distribution", [1, 2])],
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
    train = finetuning.train

    def noted(objective, *rest):
        seen.update(objective.weights)
        return train(objective, *rest)

    monkeypatch.setattr(finetuning, "train", noted)
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


# -- features of several stores -------------------------------------------------------------------


def test_streams_of_other_rates_and_widths_are_joined() -> None:
    inputs = (HeadInput("slow", 1, 1.0), HeadInput("fast", 2, 3.0))
    frames = {
        "slow": Frames(torch.tensor([[[1.0], [2.0]], [[5.0], [0.0]]]), torch.tensor([2, 1])),
        "fast": Frames(torch.arange(20.0).view(2, 5, 2), torch.tensor([5, 0])),
    }
    missing = torch.tensor([-1.0, -2.0, -3.0])
    found = joined(frames, inputs, None, missing)
    assert found.lengths.tolist() == [6, 3]
    # Each slow frame stands for three; what an utterance lacks is what is missing.
    assert found.values[0, :, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert found.values[0, :, 1].tolist() == [0, 2, 4, 6, 8, -2]
    assert found.values[1, :3].tolist() == [[5, -2, -3]] * 3
    assert means(frames, inputs, None, missing).tolist() == [[1.5, 4, 5], [5, -2, -3]]
    present = {"slow": torch.tensor([False, True]), "fast": torch.tensor([True, True])}
    assert means(frames, inputs, present, missing)[0].tolist() == [-1, 4, 5]
    # What is missing is 0 once it is standardised.
    head = LinearHead(LinearHeadConfiguration(inputs, 3, standardise=True))
    head.standardisation.set(torch.tensor([1.0, 2, 3]), torch.ones(3))
    with torch.no_grad():
        head.layers[1].weight.copy_(torch.eye(3))
        head.layers[1].bias.zero_()
        assert head(frames).utterance[1].tolist() == [4, 0, 0]


def test_both_streams_are_needed_and_named(folder: Path) -> None:
    header = trained(folder, "--label", "emotion")
    assert [read["name"] for read in header["model"]["configuration"]["head"]["configuration"]
            ["inputs"]] == ["slow", "fast"]  # fmt: skip
    assert header["features"] == {"slow": {"front_end": "slow"}, "fast": {"front_end": "fast"}}
    both = report(folder, "eval-class", "p.jsonl")["ua"]
    trained(folder, "--label", "emotion", given=("--features", "slow=slow.h5"))
    assert both > report(folder, "eval-class", "p.jsonl")["ua"] + 0.1
    # What finetune read, under the names that it had there.
    trained(folder, "--label", "emotion")
    for given in ((), ("--features", "slow=slow.h5"),
                  ("--features", "slow=fast.h5", "--features", "fast=slow.h5")):  # fmt: skip
        invoke(folder, "predict", "slow.h5", *given, "--model", "c.safetensors", status=65)


def test_features_of_other_utterances_are_refused(folder: Path) -> None:
    rows = [{"identifier": f"x{n}", "streams": {"features": np.ones((3, 4), "float32")}, "meta": {}}
            for n in range(3)]  # fmt: skip
    store(folder / "other.h5", features(25.0, 4, "fast"), {}, rows)
    finetune = ("finetune", "slow.h5", "--steps", 1, "-f", "-o", "c.safetensors", *TWO[:2])
    found = invoke(folder, *finetune, "--features", "fast=other.h5", status=65)
    assert "other.h5" in found.stderr and not (folder / "c.safetensors").exists()
    # What lacks some utterances is said to.
    assert "fast.h5 (--features fast) lacks" in invoke(folder, *finetune, *TWO[2:]).stderr
    predict = ("predict", "slow.h5", "--model", "c.safetensors", *TWO[:2])
    found = invoke(folder, *predict, "--features", "fast=other.h5", status=65)
    assert "other.h5" in found.stderr and not found.stdout


def test_an_encoder_and_features_feed_one_head(chain: Path) -> None:
    ids = Store(chain / "a.h5").ids
    random = np.random.default_rng(0)
    rows = [{"identifier": i, "meta": {},
             "streams": {"features": random.normal(size=(9, 3)).astype("float32")}}
            for i in ids]  # fmt: skip
    store(chain / "extra.h5", features(7.0, 3, "noise"), {}, rows)
    extra = ("--features", "extra=extra.h5")
    for mode, head in (("frozen", "linear"), ("fine-tuned", "bgru")):
        sizes = ("--hidden", 4, "--layers", 1) if head == "bgru" else ()
        invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", *extra, "--mode", mode,
               "--head", head, *sizes, "--steps", 2, "-f", "-o", "c.safetensors")  # fmt: skip
        header, tensors = checkpoint.load(chain / "c.safetensors")
        assert list(header["inputs"]) == ["encoder", "extra"]
        assert any(n.startswith("runs.0.encoder.") for n in tensors) == (mode == "fine-tuned")
        invoke(chain, "predict", "a.h5", *extra, "--model", "c.safetensors", "-f", "-o", "p.jsonl")
        assert len(manifest.read(chain / "p.jsonl").items) == len(ids)


@pytest.mark.parametrize("text", ["x.h5", "=x.h5", "a=", "a b=x.h5", "encoder=x.h5"])
def test_features_are_named(text: str) -> None:
    with pytest.raises(UsageError):
        parse_features([text])
    with pytest.raises(UsageError):
        parse_features(["a=x.h5", "a=y.h5"])


# -- heads ----------------------------------------------------------------------------------------


def test_a_scalar_is_said_in_its_own_unit() -> None:
    labels = (Readout("emotion", "class", classes=2), Readout("arousal", "scalar", value=True))
    head = LabelHead.of(linear(3, 3), labels)
    head.scale(1).copy_(torch.tensor([3.0, 0.5]))
    said = head(named(Frames(torch.randn(4, 2, 3), torch.tensor([2, 2, 1, 2]))))
    found = head.utterances(said)
    torch.testing.assert_close(found[:, :2], said.utterance[:, :2])
    torch.testing.assert_close(found[:, 2], 3 + 0.5 * said.utterance[:, 2])


@dataclass(frozen=True)
class LargestConfiguration:
    inputs: tuple[HeadInput, ...]
    outputs: int
    dropout: float = 0.0

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> LargestConfiguration:
        return cls(inputs_of(given["inputs"]), given["outputs"], given["dropout"])


class Largest(FrameHead):
    """A toy: a dense layer on the largest of each dimension over time."""

    def __init__(self, configuration: LargestConfiguration) -> None:
        super().__init__(configuration.inputs, configuration.outputs)
        self.configuration = configuration
        self.dense = nn.Linear(sum(item.dim for item in self.inputs), self.outputs)

    def forward(
        self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        def utterance() -> Tensor:
            largest = [frames[name].values.amax(dim=1) for name in self.streams]
            return self.dense(torch.cat(largest, dim=1))

        def over_time() -> Frames:
            raise DataError("the toy says nothing over time")

        return Outputs(utterance, over_time)


LARGEST = Part(LargestConfiguration, Largest)


def test_a_head_of_another_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "heads-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: heads\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[avaffect.heads]\nlargest = {__name__}:LARGEST\n")
    invoke(folder, "finetune", "slow.h5", "--head", "largest", status=2)
    monkeypatch.syspath_prepend(str(folder))
    from avaffect.models.heads.registry import HEADS

    HEADS.__dict__.pop("_points", None)
    options = ("--head", "largest", "--dropout", 0.25, "--head-learning-rate", 0.01)
    header = trained(folder, "--label", "emotion", "--label", "arousal_mean", *options)
    head = header["model"]["configuration"]["head"]
    assert head["name"] == "largest" and head["configuration"]["dropout"] == 0.25
    assert report(folder, "eval-ccc", "p.jsonl")["pooled"]["arousal_mean"]["ccc"] > 0.5
    HEADS.__dict__.pop("_points", None)
    HEADS._loaded.clear()
