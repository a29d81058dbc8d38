"""finetune and predict on traces, on the real command line: heads, losses, delay, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_features
import numpy as np
import pytest
import torch
from chain import invoke
from trace_sources import write_traces

from avaffect.core.progress import SILENT
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.traces import delayed, resample
from avaffect.evaluation.binning import clusters, equal_width
from avaffect.evaluation.concordance import ccc
from avaffect.recipes.downstream.tasks.labels import labels_of
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

TRACES = ("--label", "arousal", "--label", "valence")
RECURRENT = ("--hidden", 8, "--layers", 1, "--head-learning-rate", 0.02, "--batch-utterances", 8,
             "--schedule", "constant", "--warmup", 0)  # fmt: skip
LINEAR = ("--head-learning-rate", 0.05)
CCC = {"ccc": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_features.write(tmp_path / "f.h5")
    return tmp_path


def predicted(folder: Path, *options: object, name: str = "p") -> Store:
    invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", *options, "-o",
           f"{name}.h5")  # fmt: skip
    return Store(folder / f"{name}.h5")


def scores(folder: Path, *options: object) -> dict:
    """Of p.h5, by eval-ccc."""
    found = invoke(folder, "eval-ccc", "p.h5", "--gold", "f.h5", "--json", *options)
    return json.loads(found.stdout)


def history(folder: Path) -> list[dict]:
    path = folder / "classifier.safetensors.metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# -- heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["linear", "bgru", "gru"])
def test_traces_are_learned_at_the_rate_of_the_head(folder: Path, head: str) -> None:
    recurrent = head != "linear"
    steps = ("--head", head, "--frames-per-step", 5, *RECURRENT) if recurrent else LINEAR
    invoke(folder, "finetune", "f.h5", *TRACES, *steps, "--epochs", 8, "--runs", 2)
    header, tensors = checkpoint.load(folder / "classifier.safetensors")
    rate = 10.0 if recurrent else 50.0
    assert header["traces"] == {
        "names": ["arousal", "valence"], "rate_hz": rate, "delay_s": 0.0,
        "losses": {"arousal": CCC, "valence": CCC},
    }  # fmt: skip
    assert "labels" not in header
    backwards = any("backwards" in name for name in tensors)
    assert backwards == (head == "bgru")
    best = header["runs"][0]["metrics"]["development"]
    assert best["ccc"] == pytest.approx((best["ccc_arousal"] + best["ccc_valence"]) / 2)
    given, made = Store(folder / "f.h5"), predicted(folder, "--split", "test")
    assert made.count == 8 and made.meta["split"] == ["test"] * 8
    assert made.labels["arousal"].rate_hz == rate and made.labels["arousal"].raters == 2
    pairs = []
    for row, identifier in enumerate(made.ids):
        gold = given.trace("arousal", given.rows[identifier])
        values = made.trace("arousal", row)
        assert values.shape[1] == 2 and not np.isnan(values).any()
        pairs.append((resample(values[:, 0], rate, 10.0, len(gold)), gold))
    joined, gold = (np.concatenate(side) for side in zip(*pairs))
    assert ccc(joined, gold) > 0.8
    found = invoke(folder, "predict", "f.h5", "--model", "classifier.safetensors", status=2).stderr
    assert "-o P.h5" in found


def test_traces_of_folds_are_one_column_a_run(folder: Path) -> None:
    """Each fold has the clusters of its own training part."""
    invoke(folder, "finetune", "f.h5", *TRACES, *LINEAR, "--epochs", 1, "--folds", 3, "--runs", 2,
           "--loss", "ccc=0.5,ncce=0.5")  # fmt: skip
    made = predicted(folder)
    assert made.count == 48 and made.labels["valence"].raters == 2
    assert not any(np.isnan(made.trace("valence", row)).any() for row in range(made.count))
    tensors = checkpoint.load(folder / "classifier.safetensors")[1]
    first, second = (tensors[f"runs.{fold}.head.centres_0"] for fold in (0, 1))
    assert not torch.equal(first, second)
    # The second run trains on the same parts.
    torch.testing.assert_close(first, tensors["runs.3.head.centres_0"])


def test_classifiers_of_before(folder: Path) -> None:
    """One whose header knows neither losses nor delay, and whose head stands alone."""
    invoke(folder, "finetune", "f.h5", *TRACES, *LINEAR, "--epochs", 1)
    header, tensors = checkpoint.load(folder / "classifier.safetensors")
    now = predicted(folder)
    facts = {k: v for k, v in header.items() if k not in ("format", "version", "kind")}
    head = header["model"]["configuration"]["head"]["configuration"]
    (read,) = head.pop("inputs")
    facts["model"] = {"name": "head", "configuration": {**head, "dim": read["dim"]}}
    facts["traces"] = {name: header["traces"][name] for name in ("names", "rate_hz")}
    own = {name.replace(".head.head.", ".head."): tensor for name, tensor in tensors.items()}
    checkpoint.save(folder / "classifier.safetensors", "classifier", own, **facts)
    before = predicted(folder, name="before")
    for row in range(now.count):
        np.testing.assert_array_equal(now.trace("valence", row), before.trace("valence", row))


# -- losses ---------------------------------------------------------------------------------------


def test_losses_weighted_by_label(folder: Path) -> None:
    losses = ("--loss", "ccc=0.5,ce=0.25,mse=0.25", "--loss", "valence:ncce=1")
    invoke(folder, "finetune", "f.h5", *TRACES, *LINEAR, *losses, "--epochs", 30)
    header, tensors = checkpoint.load(folder / "classifier.safetensors")
    assert header["traces"]["losses"] == {
        "arousal": {"ccc": 0.5, "ce": 0.25, "mse": 0.25}, "valence": {"ncce": 1.0},
    }  # fmt: skip
    assert header["model"]["name"] == "label_head"
    labels = header["model"]["configuration"]["labels"]
    assert [(label["value"], label["bins"]) for label in labels] == [(True, 20), (False, 20)]
    # The bins are those of the training labels.
    store = Store(folder / "f.h5")
    train = [row for row, split in enumerate(store.meta["split"]) if split == "train"]
    gold = np.concatenate([store.trace("arousal", row) for row in train])
    np.testing.assert_allclose(
        tensors["runs.0.head.centres_0"], equal_width(gold, 20), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        tensors["runs.0.head.centres_1"], clusters(-gold, 20), rtol=1e-4, atol=1e-6
    )
    lines = history(folder)
    named = {"ccc_arousal", "ce_arousal", "mse_arousal", "ncce_valence", "concordance_valence"}
    assert named <= lines[0].keys() and "ccc_valence" not in lines[0]
    losses_of = [line["ncce_valence"] for line in lines if "ncce_valence" in line]
    assert losses_of[0] > np.log(20) * 0.9 and losses_of[-1] < losses_of[0] - 0.5
    made = predicted(folder, "--split", "test")
    assert made.labels["valence"].raters == 1
    values = np.concatenate([made.trace("valence", row) for row in range(made.count)])
    centres = tensors["runs.0.head.centres_1"]
    # A mean of centres lies among them.
    assert values.min() >= float(centres[0]) and values.max() <= float(centres[-1])
    found = scores(folder, "--split", "test")["pooled"]
    assert found["arousal"]["ccc"] > 0.8 and found["valence"]["ccc"] > 0.6


def test_the_same_command_gives_the_same_bytes(folder: Path) -> None:
    command = ("finetune", "f.h5", *TRACES, *LINEAR, "--loss", "ccc=1,ncce=1", "--epochs", 2)
    for name in ("a", "b"):
        invoke(folder, *command, "-o", f"{name}.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


# -- delay ----------------------------------------------------------------------------------------


def test_labels_ahead_and_predictions_late() -> None:
    values = np.array([0.0, 1, 2, 3, 4], dtype=np.float32)
    np.testing.assert_allclose(resample(values, 10.0, 10.0, ahead_s=0.2), [2, 3, 4])
    np.testing.assert_allclose(resample(values, 10.0, 20.0, 4, ahead_s=0.25), [2.5, 3, 3.5, 4])
    np.testing.assert_allclose(delayed(values, 10.0, 0.2), [0, 0, 0, 1, 2])
    np.testing.assert_allclose(delayed(values, 10.0, 0.25), [0, 0, 0, 0.5, 1.5])
    np.testing.assert_array_equal(delayed(values, 10.0, 0.0), values)
    two = np.stack([values, -values], axis=1)
    np.testing.assert_allclose(delayed(two, 10.0, 9.0), np.zeros((5, 2)))
    assert delayed(values[:0], 10.0, 1.0).shape == (0,)
    assert len(resample(values, 10.0, 10.0, ahead_s=1.0)) == 0


def test_a_delay_is_learned_away_and_put_back(tmp_path: Path) -> None:
    """A head that sees one frame cannot know what late annotators said, unless it is told."""
    late = 0.2
    labelled_features.write(tmp_path / "f.h5", late_s=late)
    found = {}
    for delay in (0.0, late):
        invoke(tmp_path, "finetune", "f.h5", *TRACES, *LINEAR, "--delay", delay, "--epochs", 12,
               "-f")  # fmt: skip
        header = checkpoint.load(tmp_path / "classifier.safetensors")[0]
        assert header["traces"]["delay_s"] == delay
        made = predicted(tmp_path, "--split", "development", "-f")
        found[delay] = scores(tmp_path)["pooled"]["arousal"]["ccc"]
        # What chose the epoch is what is scored.
        best = header["runs"][0]["metrics"]["development"]["ccc_arousal"]
        assert best == pytest.approx(found[delay], abs=0.03)
    assert found[late] > 0.9 and found[0.0] < found[late] - 0.1
    # On the annotations' time line, as long as the recording; at first, the first value.
    given = Store(tmp_path / "f.h5")
    for row, identifier in enumerate(made.ids):
        values = made.trace("arousal", row)[:, 0]
        assert len(values) == given.lengths("features")[given.rows[identifier]]
        assert (values[:11] == values[0]).all() and values[12] != values[0]
        gold = given.trace("arousal", given.rows[identifier])
        assert ccc(values[10::5], gold[2 : 2 + len(values[10::5])]) > 0.8


def test_the_delay_of_eval_ccc_is_of_predictions_that_are_not_put_back(tmp_path: Path) -> None:
    times = np.arange(60) / 10
    early = write_traces(tmp_path / "p.h5", {"a": {"arousal": np.sin(times)}})
    gold = write_traces(tmp_path / "g.h5", {"a": {"arousal": np.sin(times - 0.4)}})
    found = invoke(tmp_path, "eval-ccc", early, "--gold", gold, "--delay", 0.4, "--json").stdout
    assert json.loads(found)["pooled"]["arousal"]["ccc"] == pytest.approx(1, abs=1e-6)


# -- bad input ------------------------------------------------------------------------------------


def test_mistakes_with_traces(folder: Path) -> None:
    def refused(*options: object, status: int = 65) -> str:
        return invoke(folder, "finetune", "f.h5", *options, "-o", "x", status=status).stderr

    assert "--classes goes with class labels" in refused(*TRACES, "--classes", "a,b", status=2)
    assert "are scored by ccc" in refused(*TRACES, "--select", "ua", status=2)
    assert "is scored by ua" in refused("--select", "ccc", status=2)
    assert "ties the utterances" in refused(*TRACES, "--accumulate", 2, status=2)
    assert "has no label 'dominance'" in refused("--label", "dominance")
    assert "needs an --encoder" in refused("--mode", "scratch", status=2)
    assert "--label arousal is given twice" in refused(*TRACES, *TRACES, status=2)
    assert "goes with --head bgru or gru" in refused("--frames-per-step", 2, status=2)
    assert "--folds 2" in refused("--folds", 2, status=2)
    assert "--modality video needs an --encoder" in refused("--modality", "video", status=2)
    assert "its losses are ce" in refused("--loss", "ccc=1", status=2)
    assert "--delay goes with traces" in refused("--delay", 1, status=2)
    assert "--delay -1: at least 0" in refused(*TRACES, "--delay", -1, status=2)
    assert "choose one" in refused(*TRACES, "--loss", "ce=1,ncce=1", status=2)
    # All utterances are shorter than that.
    assert "arousal never changes in the training part after the first 5 s (--delay)" in refused(
        *TRACES, "--delay", 5
    )
    # What was refused for --accumulate does not stand in the way.
    refused(*TRACES, "--epochs", 1, status=0)


def features_with(path: Path, traces: list[np.ndarray]) -> Path:
    """A store of noise with the trace arousal; the last utterance is development, others train."""
    random = np.random.default_rng(0)
    spec = StreamSpec("features", "float32", 10.0, (2,), made={"front_end": "noise"})
    labels = {"arousal": LabelSpec("trace", rate_hz=10.0)}
    with store_writer(path, {}, streams={"features": spec}, labels=labels) as writer:
        for number, trace in enumerate(traces):
            split = "development" if number == len(traces) - 1 else "train"
            frames = random.normal(size=(len(trace), 2)).astype(np.float32)
            writer.add(f"u{number}", streams={"features": frames},
                       labels={"arousal": trace.astype(np.float32)},
                       meta={"speaker": f"s{number}", "split": split})  # fmt: skip
    return path


def test_traces_that_cannot_be_learned_or_scored(tmp_path: Path) -> None:
    wave, flat, few = np.sin(np.arange(50) / 9), np.full(50, 0.3), np.repeat([0.1, 0.2], 25)

    def run(*traces: np.ndarray, status: int = 0, options: tuple = ()) -> str:
        path = features_with(tmp_path / f"{len(list(tmp_path.iterdir()))}.h5", list(traces))
        return invoke(tmp_path, "finetune", path, "--label", "arousal", "--epochs", 1, *options,
                      "-f", status=status).stderr  # fmt: skip

    assert "arousal never changes in the training part" in run(flat, flat, wave, status=65)
    assert "no utterance has a known value of arousal" in run(flat * np.nan, status=65)
    found = run(few, few, wave, options=("--loss", "ncce=1"), status=65)
    assert "2 different values" in found and "20 clusters" in found
    run(few, few, wave, options=("--loss", "ce=1"))
    assert "arousal never changes in the development part" in run(wave, wave, flat)
    assert "development part" not in run(wave, wave, flat, options=("--select", "none"))
    # A mark for what is unknown, or another scale.
    found = run(np.where(wave > 0.9, -5.0, wave), wave, wave)
    assert "arousal reaches from -5 to" in found and "leave out numbers" in found
    assert "reaches from" not in run(wave, wave, wave)


def test_the_task_of_traces_shares_and_labels(folder: Path) -> None:
    settings = FinetuneSettings(media=(folder / "f.h5",), label=("arousal",), delay=0.1)
    labels = labels_of([Store(folder / "f.h5")], settings, SILENT)
    train = np.array([split == "train" for split in labels.utterances.splits])
    share = labels.share(train, 0.25, 3)
    assert share.sum() == 8 and not (share & ~train).any()
    assert {task.name: task.losses for task in labels.of_kind("trace")} == {"arousal": CCC}
