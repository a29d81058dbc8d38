"""Classes over time: Aff-Wild2's expressions, and each frame as an utterance."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from corpus_folders import by_id, made, touch

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT
from avaffect.data import manifest
from avaffect.data.dataset import dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.encoder import Frames
from avaffect.recipes.encoding.around import Around, means
from avaffect.recipes.encoding.extraction import Extractor

CLASSES = ("neutral", "anger", "other")
RATE, DIM = 10.0, 3


def recording(path: Path, steps: int) -> np.ndarray:
    random = np.random.default_rng(steps)
    values = random.normal(size=(steps, DIM)).astype(np.float32)
    spec = StreamSpec("features", "float32", RATE, (DIM,), made={"front_end": "noise"})
    with store_writer(path, {}, streams={"features": spec}) as writer:
        writer.add("a", streams={"features": values})
    return values


@pytest.mark.parametrize("seconds", [0.0, 0.35, 2.0])
def test_means_around_times_whatever_the_blocks(tmp_path: Path, seconds: float) -> None:
    values = recording(tmp_path / "f.h5", 305)
    read: list[int] = []

    def encode(batch: Batch) -> Frames:
        read.append(int(batch.lengths["features"][0]))
        return Frames(batch.streams["features"], batch.lengths["features"])

    extractor = Extractor(encode, ("features",), RATE, DIM)
    dataset = dataset_of([Store(tmp_path / "f.h5")], ["a"], ("features",))
    # Of a label at another rate, with a gap; the last are beyond the recording.
    times = np.concatenate([np.arange(0, 12, 1 / 30), np.arange(20, 33, 0.7)])
    for block_s in (4.0, 100.0):
        read.clear()
        found = dict(
            means(extractor, dataset, times, Around(seconds, block_s), torch.device("cpu"), SILENT)
        )
        middles = (np.arange(len(values)) + 0.5) / RATE
        own = np.arange(len(values))
        for number, time in enumerate(times.tolist()):
            near = np.abs(middles - time) <= seconds + 1e-6
            near |= own == int(time * RATE + 1e-6)
            assert (number in found) == near.any()
            if near.any():
                np.testing.assert_allclose(found[number], values[near].mean(axis=0), atol=1e-5)
        # Each frame once, but for the margins of the blocks.
        margin = max(2, round(seconds * RATE))
        assert len(read) == -(-305 // round(block_s * RATE))
        assert sum(read) <= 305 + 2 * margin * len(read)
        assert max(read) <= round(block_s * RATE) + 2 * margin


def films(path: Path, count: int = 6) -> Path:
    """Sound whose pitch is its class, a second each in turn; nothing is known of the last one; the
    last film has no class at all."""
    specs = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    labels = {"expression": LabelSpec("trace", CLASSES, 5.0), "sex": LabelSpec("class", ("f", "m"))}
    with store_writer(path, {}, streams=specs, labels=labels) as writer:
        for number in range(count):
            random = np.random.default_rng(number)
            order = random.integers(0, 3, 4)
            order[:3] = random.permutation(3)
            pitch = np.repeat((300, 900, 2700), 1)[order].repeat(16000)
            wave = 3000 * np.sin(2 * np.pi * np.cumsum(pitch) / 16000)
            wave = wave + random.normal(0, 90, 64000)
            trace = order.repeat(5).astype(np.float32)
            trace[-5:] = np.nan
            writer.add(
                f"film{number}",
                streams={"waveform": wave.astype(np.int16)},
                labels={"expression": None if number == count - 1 else trace, "sex": "f"},
                meta={"speaker": f"s{number}",
                      "split": ("train", "train", "train", "development", "test")[number % 5]},
            )  # fmt: skip
    return path


def test_frames_become_utterances_and_are_classified(tmp_path: Path) -> None:
    films(tmp_path / "m.h5")
    said = invoke(tmp_path, "extract", "m.h5", "--model", "logmel", "--frames-of", "expression",
                  "--around", 0.3, "-o", "f.h5").stderr  # fmt: skip
    assert "1 recording has no frame" in said and "film5" in said
    media, found = Store(tmp_path / "m.h5"), Store(tmp_path / "f.h5")
    assert found.count == 5 * 15 and found.pooled["mean"].made["around"] == 0.3
    assert found.labels["expression"] == LabelSpec("class", CLASSES)
    row = found.rows["film1_1.4-1.6"]
    assert found.label("expression")[row] == media.trace("expression", 1)[7]
    assert found.meta["recording"][row] == "film1" and found.meta["split"][row] == "train"
    assert found.label("sex")[row] == 0
    # The mean of what the model gives of the whole.
    invoke(tmp_path, "extract", "m.h5", "--model", "logmel", "-o", "whole.h5")
    whole = np.array(Store(tmp_path / "whole.h5").read("features", 1))
    middles = (np.arange(len(whole)) + 0.5) / 100
    near = np.abs(middles - 1.5) <= 0.3 + 1e-6
    np.testing.assert_allclose(
        found.pooled_vectors("mean")[row], whole[near].mean(axis=0), atol=1e-3
    )
    invoke(tmp_path, "finetune", "f.h5", "--label", "expression", "--sampler", "balanced",
           "--select", "f1_macro", "--epochs", 30, "-o", "x.safetensors")  # fmt: skip
    invoke(tmp_path, "predict", "f.h5", "--model", "x.safetensors", "--split", "test",
           "-o", "p.jsonl")  # fmt: skip
    report = json.loads(invoke(tmp_path, "eval-class", "p.jsonl", "--json").stdout)
    assert report["f1_macro"] > 0.75 and report["count"] == 15
    every = invoke(tmp_path, "extract", "m.h5", "--model", "logmel", "--frames-of", "expression",
                   "--every", 5, "--shard", "0/2", "-o", "e.h5")  # fmt: skip
    assert "9 frames of 3 recordings" in every.stderr


# As avaffect-predict(1) has it.
AWK = """
BEGIN {for (n = split(order, name, ","); n; n--) number[name[n]] = n - 1}
NR == 1 {for (i = NF; i; i--) column[$i] = i; next}
{file = $column["recording"] ".txt"; if (!seen[file]++) print order > file
 print number[$column["prediction"]] > file}
"""


def test_frames_of_films_without_labels_get_a_class_each(tmp_path: Path) -> None:
    films(tmp_path / "m.h5")
    logmel = ("extract", "m.h5", "--model", "logmel", "--around", 0.3)
    invoke(tmp_path, *logmel, "--frames-of", "expression", "-o", "f.h5")
    said = invoke(tmp_path, *logmel, "--frames-at", 5, "-o", "all.h5").stderr
    assert "120 frames of 6 recordings" in said
    known, found = Store(tmp_path / "f.h5"), Store(tmp_path / "all.h5")
    # The same frames as those of the label, its classes where they are known, and all others.
    assert known.rows.keys() < found.rows.keys() and found.count == 6 * 20
    rows = [found.rows[identifier] for identifier in known.ids]
    assert found.label("expression")[rows].tolist() == known.label("expression").tolist()
    assert (found.label("expression") == -1).sum() == 120 - known.count
    np.testing.assert_array_equal(found.pooled_vectors("mean")[rows], known.pooled_vectors("mean"))
    assert set(found.meta["recording"]) == {f"film{n}" for n in range(6)}
    invoke(tmp_path, "finetune", "f.h5", "--label", "expression", "--epochs", 30,
           "-o", "x.safetensors")  # fmt: skip
    predict = ("predict", "all.h5", "--model", "x.safetensors", "--split", "all")
    invoke(tmp_path, *predict, "-o", "p.jsonl")
    items = [i for i in manifest.read(tmp_path / "p.jsonl") if i["recording"] == "film5"]
    assert [(i["start"], i["end"]) for i in items] == [
        pytest.approx((k / 5, (k + 1) / 5)) for k in range(20)
    ]
    assert {i["gold"] for i in items} == {None}
    report = json.loads(
        invoke(tmp_path, "eval-class", "p.jsonl", "--json", "--split", "train").stdout
    )
    assert report["accuracy"] > 0.75 and report["missing_gold"] == 3 * 5 + 20
    # One class over time for each recording, as challenges ask for it.
    table = invoke(tmp_path, *predict, "--format", "csv").stdout
    order = ",".join(CLASSES)
    subprocess.run(["awk", "-F,", "-v", f"order={order}", AWK], input=table, text=True,
                   cwd=tmp_path, check=True)  # fmt: skip
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [
        f"film{n}.txt" for n in range(6)
    ]
    header, *numbers = (tmp_path / "film5.txt").read_text().splitlines()
    assert header == order
    assert [CLASSES[int(n)] for n in numbers] == [i["prediction"] for i in items]
    # At another rate, each frame has the class at its middle.
    invoke(tmp_path, *logmel, "--frames-at", 2, "-o", "two.h5")
    two, media = Store(tmp_path / "two.h5"), Store(tmp_path / "m.h5")
    trace = media.trace("expression", 1)
    wanted = [trace[int((k + 0.5) / 2 * 5)] for k in range(8)]
    own = [two.label("expression")[two.rows[f"film1_{k / 2:g}-{(k + 1) / 2:g}"]] for k in range(8)]
    assert own == [-1 if np.isnan(value) else value for value in wanted]


def test_frames_after_the_end_are_counted_and_none_else_is_left_out(tmp_path: Path) -> None:
    films(tmp_path / "m.h5", 2)
    at = ("extract", "m.h5", "--model", "logmel", "--around", 0, "-o")
    # 4 s each; the features are of 100 Hz, whose middles no frame of these rates is at.
    assert "48 frames of 2" in invoke(tmp_path, *at, "a.h5", "--frames-at", 6).stderr
    said = invoke(tmp_path, *at, "b.h5", "--frames-at", 240).stderr
    # The last windows of the front-end are not whole.
    assert "1910 frames of 2" in said and "10 frames are left out" in said
    specs = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    labels = {"expression": LabelSpec("trace", CLASSES, 5.0)}
    with store_writer(tmp_path / "long.h5", {}, streams=specs, labels=labels) as writer:
        writer.add("a", streams={"waveform": np.ones(32000, dtype=np.int16)},
                   labels={"expression": np.zeros(17, dtype=np.float32)})  # fmt: skip
    said = invoke(tmp_path, "extract", "long.h5", *at[2:], "c.h5", "--frames-of", "expression")
    assert "10 frames of 1 " in said.stderr and "7 frames are left out" in said.stderr


def test_mistakes_with_classes_over_time(tmp_path: Path) -> None:
    films(tmp_path / "m.h5", 2)

    def refused(*options: object, status: int) -> str:
        return invoke(tmp_path, *options, "-o", "no.h5", status=status).stderr

    of = ("extract", "m.h5", "--model", "logmel")
    assert "it has: expression" in refused(*of, "--frames-of", "valence", status=65)
    assert "expression" in refused(*of, "--frames-of", "sex", status=65)
    assert "--every" in refused(*of, "--every", 2, status=2)
    assert "--around" in refused(*of, "--around", 1, status=2)
    assert "exclude" in refused(*of, "--frames-of", "expression", "--segment", 1, status=2)
    assert "--frames-at" in refused(*of, "--frames-of", "expression", "--frames-at", 1, status=2)
    assert "--frames-at" in refused(*of, "--frames-at", 0, status=2)
    assert "--every" in refused(*of, "--frames-at", 1, "--every", 2, status=2)
    # Numbers of classes are no values to regress on.
    words = invoke(tmp_path, "finetune", "m.h5", "--encoder", "x", "--label", "expression",
                   status=65).stderr  # fmt: skip
    assert "x" in words
    invoke(tmp_path, *of, "-o", "l.h5")
    words = invoke(tmp_path, "finetune", "l.h5", "--label", "expression", status=65).stderr
    assert "--frames-of expression" in words


EXPRESSIONS = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"


def test_expressions_of_aff_wild2(tmp_path: Path) -> None:
    folder = touch(tmp_path / "w", "batch1/a.mp4", "batch1/b.mp4", "batch1/c.mp4")
    expr = folder / "annotations" / "EXPR_Classification_Challenge"
    va = folder / "annotations" / "VA_Estimation_Challenge"
    for parent, of, lines in (
        (expr / "Train_Set", "a", [EXPRESSIONS, 0, 0, 7, -1, 4]),
        (expr / "Validation_Set", "b", [EXPRESSIONS, 3]),
        (va / "Train_Set", "b", ["valence,arousal", "0.5,0.25"]),
        (expr / "Train_Set", "gone", [EXPRESSIONS, 1]),
    ):
        parent.mkdir(parents=True, exist_ok=True)
        (parent / f"{of}.txt").write_text("\n".join(map(str, lines)) + "\n")
    found, said = made(tmp_path / "m.jsonl", "aff-wild2", folder)
    described = found.header.to_dict()["labels"]["expression"]
    assert described == {
        "kind": "trace",
        "rate_hz": 30.0,
        "classes": EXPRESSIONS.lower().split(","),
    }
    items = by_id(found)
    assert items["aff-wild2_a"]["labels"] == {"expression": [0, 0, 7, None, 4]}
    assert items["aff-wild2_a"]["split"] == "train"
    assert items["aff-wild2_b"]["labels"] == {
        "valence": [0.5], "arousal": [0.25], "expression": [3],
    }  # fmt: skip
    # The sets of the two challenges differ: the split is that of valence and arousal.
    assert items["aff-wild2_b"]["split"] == "train" and "another set" in said
    assert "1: gone" in said and "split" not in items["aff-wild2_c"]
    alone, _ = made(tmp_path / "e.jsonl", "aff-wild2", folder, tables=expr)
    assert by_id(alone)["aff-wild2_b"]["split"] == "development"
    (expr / "Train_Set" / "a.txt").write_text(f"{EXPRESSIONS}\n8\n")
    with pytest.raises(DataError, match="expected the names"):
        made(tmp_path / "m.jsonl", "aff-wild2", folder)
    (expr / "Train_Set" / "a.txt").write_text("Neutral,Anger\n1\n")
    with pytest.raises(DataError, match="others than"):
        made(tmp_path / "m.jsonl", "aff-wild2", folder)
