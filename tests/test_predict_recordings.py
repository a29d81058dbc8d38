"""predict on recordings: what preprocess makes of them, without its store."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import interrupt, invoke
from recorded import NAMES, items, learn
from running import Running
from trace_sources import wave, write_manifest

from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import Progress
from avaffect.data.store.reader import Store
from avaffect.recipes.downstream import decoded_recordings
from avaffect.recipes.downstream.bundle_parts import ENCODER_PREFIX
from avaffect.recipes.downstream.recording_facts import facts_of
from avaffect.recipes.media.listing import listed
from avaffect.training import checkpoint

CLASSES = ("anger", "joy")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    learn(folder)
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, which has to be empty at the end."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def scores(found: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, float]]:
    return {(item["id"], item["run"]): item["scores"] for item in found}


def test_a_folder_and_a_bundle_alone(learned: Path, tmp_path: Path, temporary: Path) -> None:
    """Three wav, two mp4 and a broken file in one command, on a copy of the bundle alone: the
    predictions of the classifier for the store that preprocess made."""
    stored = items(invoke(learned, "predict", "media.h5", "--model", "frozen.safetensors"))
    invoke(learned, "bundle", "frozen.safetensors", "-o", "emotion.safetensors")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(learned / "clips", elsewhere / "clips")
    for name in ("emotion", "frozen"):
        shutil.copy(learned / f"{name}.safetensors", elsewhere)
    found = invoke(elsewhere, "predict", "clips", "--model", "emotion.safetensors")
    assert {i["id"] for i in stored} == set(NAMES) and len(stored) == 2 * len(NAMES)
    assert scores(items(found)) == scores(stored)
    assert "broken (broken.mp4)" in found.stderr and "lost 1 of 6 recordings" in found.stderr
    assert "notes" not in found.stderr
    assert not list(temporary.iterdir())
    invoke(elsewhere, "predict", "clips/a.wav", "--model", "frozen.safetensors", status=65)


def test_a_classifier_whose_runs_have_encoders(learned: Path, temporary: Path) -> None:
    model = ("--model", "fine-tuned.safetensors")
    stored = scores(items(invoke(learned, "predict", "media.h5", *model)))
    found = scores(items(invoke(learned, "predict", "clips/e.mp4", "clips/b.wav", *model)))
    assert found == {key: stored[key] for key in stored if key[0] in ("e", "b")}
    assert len(found) == 4 and not list(temporary.iterdir())


def test_a_pattern_in_a_pipe_scored_by_a_table(learned: Path) -> None:
    """The manifest of clips goes on into eval-class."""
    found = invoke(learned, "predict", "clips/*.wav", "clips/**/*.wav", "clips/a.wav",
                   "--model", "fine-tuned.safetensors", "-o", "p.jsonl")  # fmt: skip
    assert not found.stdout
    predicted = items((learned / "p.jsonl").read_text())
    assert [i["id"] for i in predicted if i["run"] == 0] == ["a", "b", "c"]
    assert all((learned / "clips" / i["media"]).is_file() for i in predicted)
    found = invoke(learned, "eval-class", "p.jsonl", "--gold", "labels.csv", "--json")
    assert json.loads(found.stdout)["count"] == 3
    again = invoke(learned, "predict", "clips/**/*.wav", "--model", "fine-tuned.safetensors",
                   "-o", "p.jsonl")  # fmt: skip
    assert "up to date" in again.stderr
    invoke(learned, "predict", "clips/a.wav", "--model", "fine-tuned.safetensors", "-o", "p.jsonl",
           status=73)  # fmt: skip


def test_windows(learned: Path) -> None:
    """Classes over time, of a store; a window that holds an utterance is the utterance."""
    model = ("media.h5", "--model", "frozen.safetensors")
    found = invoke(learned, "predict", *model, "--window", 0.4, "--step", 0.2, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    of_a = [r for r in rows if r["media"].endswith("/a.wav") and r["run"] == "0"]
    assert [(float(r["start"]), float(r["end"])) for r in of_a] == [(0, 0.4), (0.2, 0.6)]
    assert [r["id"] for r in of_a] == ["a_0-0.4", "a_0.2-0.6"]
    shares = [sum(float(row[name]) for name in CLASSES) for row in rows]
    assert shares == pytest.approx([1] * len(rows), abs=2e-6)
    assert len({r["anger"] for r in of_a}) == 2
    whole = items(invoke(learned, "predict", *model))
    held = items(invoke(learned, "predict", *model, "--window", 60))
    assert [i["scores"] for i in held] == [i["scores"] for i in whole]
    assert all(i["start"] == 0 and 0.5 < i["end"] < 1 for i in held)
    invoke(learned, "predict", *model, "--step", 0.2, status=2)


def test_csv_in_a_file_is_replaced_by_force_alone(learned: Path) -> None:
    model = ("--model", "fine-tuned.safetensors", "--format", "csv", "-o", "p.csv")
    invoke(learned, "predict", "clips/a.wav", *model)
    invoke(learned, "predict", "clips/a.wav", *model)
    first = (learned / "p.csv").read_text()
    assert first.splitlines()[0] == "id,media,run,prediction,anger,joy"
    invoke(learned, "predict", "clips/b.wav", *model, status=73)
    assert (learned / "p.csv").read_text() == first


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("media.h5", "clips/a.wav"), 2),
        (("clips/broken.mp4",), 65),
        (("clips/none*.wav",), 65),
        (("clips/none.wav",), 65),
        (("clips/notes.txt",), 65),
        (("empty",), 65),
        (("clips", "--format", "table", "-o", "t.csv"), 2),
        (("clips", "-o", "t.csv"), 2),
        (("clips", "--features", "a=media.h5"), 2),
        (("clips", "--split", "test"), 2),
        (("media.h5", "--jobs", "2"), 2),
        (("media.h5", "--face-model", "yunet.onnx"), 2),
        (("clips/a.wav", "--face-model", "yunet.onnx"), 2),
    ],
)
def test_mistakes(arguments: tuple[str, ...], status: int, learned: Path) -> None:
    (learned / "empty").mkdir(exist_ok=True)
    found = invoke(learned, "predict", *arguments, "--model", "frozen.safetensors", status=status)
    assert not found.stdout


def test_ids_are_names_or_paths(tmp_path: Path) -> None:
    for name in ("x/a.wav", "y/a.wav", "y/b.wav", "y/b.mp3", "y/c.wav", ".hidden/d.wav", "y/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"RIFF")
    found = listed([tmp_path], Progress())
    assert found is not None and not found.unusable
    assert [i["id"] for i in found.corpus.items] == ["x/a", "y/a", "y/b.mp3", "y/b.wav", "c"]


def test_ids_are_distinct_and_text(tmp_path: Path) -> None:
    """Where the path of one file is the stem of another; names of other bytes than UTF-8's."""
    for name in ("b.wav", "b.mp3", "b.wav.wav", "b.wav.mp3", "\u00e9.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    found = listed([tmp_path], Progress())
    assert found is not None
    ids = [i["id"] for i in found.corpus.items]
    assert ids == ["b.mp3", "b.wav", "b.wav.mp3", "b.wav.wav", "\u00e9"]
    (tmp_path / "e\u0301.wav").write_bytes(b"RIFF")
    other = tmp_path / os.fsdecode(b"\xe9.wav")
    other.write_bytes(b"RIFF")
    for paths in ([tmp_path], [other]):
        with pytest.raises(DataError) as raised:
            listed(paths, Progress())
        assert str(raised.value).isascii()


def test_a_classifier_of_folds_is_refused_before_decoding(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its bundle says that it would be."""
    header, tensors = checkpoint.read(learned / "frozen.safetensors", ClassifierHeader)
    runs = tuple(replace(run, fold=fold) for fold, run in enumerate(header.runs))
    checkpoint.write(learned / "folds.safetensors", replace(header, runs=runs), tensors)
    monkeypatch.setattr(decoded_recordings, "decoded", None)
    invoke(learned, "predict", "clips/a.wav", "--model", "folds.safetensors", status=65)
    bundled = [
        invoke(learned, "bundle", f"{name}.safetensors", "-o", tmp_path / name).stderr
        for name in ("folds", "frozen")
    ]
    assert ["--annotations" in said for said in bundled] == [True, False]


def test_a_classifier_of_an_earlier_version_reads_its_store(learned: Path, tmp_path: Path) -> None:
    """Its header does not say how faces were cropped; the store that it was trained on does."""
    folder = Path(shutil.copytree(learned, tmp_path / "old"))
    header, tensors = checkpoint.read(folder / "frozen.safetensors", ClassifierHeader)
    assert header.recordings is not None and header.recordings.faces is not None
    old = replace(header, recordings=None)
    checkpoint.write(folder / "old.safetensors", old, tensors)
    assert facts_of(folder / "old.safetensors", old) == header.recordings
    assert header.recordings.faces.size == 48 and header.recordings.faces.margin == 0.2
    (folder / "media.h5").unlink()
    model = ("--model", "old.safetensors")
    found = invoke(folder, "predict", "clips/d.mp4", *model, status=65)
    assert "media.h5" in found.stderr


def test_a_damaged_bundle(learned: Path, tmp_path: Path) -> None:
    """Cut short, with one bit changed, or without the weights that its header names; check and info
    know a whole one."""
    bundle = tmp_path / "emotion.safetensors"
    invoke(
        learned,
        "eval-class",
        "--split",
        "all",
        "-o",
        tmp_path / "test.json",
        stdin=invoke(learned, "predict", "media.h5", "--model", "frozen.safetensors").stdout,
    )
    report = ("--scores", tmp_path / "test.json")
    invoke(learned, "bundle", "frozen.safetensors", *report, "-o", bundle)
    assert (
        "up to date"
        in invoke(learned, "bundle", "frozen.safetensors", *report, "-o", bundle).stderr
    )
    invoke(learned, "bundle", bundle, "-o", tmp_path / "twice.safetensors", status=65)
    invoke(tmp_path, "check", bundle)
    shown = json.loads(invoke(tmp_path, "info", bundle, "--json").stdout)["bundle"]
    assert shown["encoder"]["model"]["name"] == "avhubert"
    assert shown["corpora"] == [{"name": "labels", "utterances": 5, "speakers": 5}]
    assert shown["scores"][0]["runs"] == 2 and 0 <= shown["scores"][0]["scores"]["ua"] <= 1
    assert "labels" in invoke(tmp_path, "info", bundle).stdout
    header, tensors = checkpoint.read(bundle, ClassifierHeader)
    lacking = {name: t for name, t in tensors.items() if not name.startswith(ENCODER_PREFIX)}
    assert 0 < len(lacking) < len(tensors)
    checkpoint.write(tmp_path / "lacking.safetensors", header, lacking)
    content = bytearray(bundle.read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(content[:-100])
    content[-100] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(content)
    for name in ("lacking", "cut", "flipped"):
        model = ("--model", tmp_path / f"{name}.safetensors")
        invoke(learned, "predict", "clips/a.wav", *model, status=65)


def test_features_of_a_front_end_are_computed(learned: Path, temporary: Path) -> None:
    """Those of a model are refused before a bundle is made."""
    invoke(learned, "extract", "media.h5", "--model", "mfcc", "-o", "mfcc.h5")
    invoke(learned, "finetune", "mfcc.h5", "--epochs", 1, "--bundle", "-o", "mfcc.safetensors")
    model = ("--model", "mfcc.safetensors")
    stored = items(invoke(learned, "predict", "mfcc.h5", *model))
    found = items(invoke(learned, "predict", "clips/*.wav", "clips/below", *model))
    known = scores(stored)
    assert len(found) == 3 and all(i["scores"] == known[i["id"], 0] for i in found)
    assert not list(temporary.iterdir())
    invoke(learned, "extract", "media.h5", "--model", "encoder.safetensors", "-o", "frames.h5")
    invoke(learned, "finetune", "frames.h5", "--epochs", 1, "-o", "frames.safetensors")
    invoke(learned, "bundle", "frames.safetensors", "-o", "no.safetensors", status=65)
    invoke(learned, "predict", "clips/a.wav", "--model", "frames.safetensors", status=65)
    invoke(learned, "finetune", "frames.h5", "--bundle", "-o", "no.safetensors", status=65)
    assert not (learned / "no.safetensors").exists()


def test_a_bundle_holds_what_low_rank_adaptation_learned(
    learned: Path, tmp_path: Path, temporary: Path
) -> None:
    """And the encoder that its adapters change."""
    invoke(learned, "finetune", "media.h5", "--encoder", "encoder.safetensors", "--mode", "lora",
           "--epochs", 1, "-o", "lora.safetensors")  # fmt: skip
    stored = scores(items(invoke(learned, "predict", "media.h5", "--model", "lora.safetensors")))
    bundle = tmp_path / "emotion.safetensors"
    invoke(learned, "bundle", "lora.safetensors", "-o", bundle)
    shutil.copy(learned / "clips/a.wav", tmp_path)
    found = scores(items(invoke(tmp_path, "predict", "a.wav", "--model", bundle)))
    assert found == {("a", 0): stored["a", 0]}


def test_the_weights_of_a_face_detector(learned: Path, tmp_path: Path, temporary: Path) -> None:
    """Named by an option, or held by a bundle."""
    weights = Path(__file__).resolve().parents[2] / "shared/models/yunet_n_640_640.onnx"
    if not weights.is_file():
        pytest.skip("no weights of YuNet")
    header, tensors = checkpoint.read(learned / "frozen.safetensors", ClassifierHeader)
    assert header.recordings is not None and header.recordings.faces is not None
    crops = replace(header.recordings.faces, detector="yunet", model=file_content_id(weights),
                    model_file="yunet.onnx", align=True)  # fmt: skip
    yunet = replace(header, recordings=replace(header.recordings, faces=crops))
    checkpoint.write(learned / "yunet.safetensors", yunet, tensors)
    command = ("predict", "clips/d.mp4", "--model", "yunet.safetensors")
    invoke(learned, *command, status=65)
    invoke(learned, *command, "--face-model", "clips/a.wav", status=65)
    named = invoke(learned, *command, "--face-model", weights, "--jobs", 2).stdout
    for name, place in (("yunet.onnx", learned), ("d.mp4", tmp_path)):
        shutil.copy(weights if name == "yunet.onnx" else learned / "clips" / name, place / name)
    bundle = tmp_path / "emotion.safetensors"
    invoke(learned, "bundle", "yunet.safetensors", "-o", bundle)
    (learned / "yunet.onnx").unlink()
    held = invoke(tmp_path, "predict", "d.mp4", "--model", bundle).stdout
    assert scores(items(held)) == scores(items(named))
    invoke(tmp_path, "predict", "d.mp4", "--model", bundle, "--face-model", weights, status=2)
    assert not list(temporary.iterdir())


def test_a_signal_leaves_no_decoded_recordings(learned: Path, temporary: Path) -> None:
    process = Running(learned, "predict", "clips", "--model", "frozen.safetensors", "--jobs", 1)
    folder = ".avaffect-predict.*.partial/*"
    status, _ = interrupt(process, signal.SIGINT, lambda: any(temporary.glob(folder)), 0.0)
    assert status == 130 and not [p for p in temporary.iterdir() if "avaffect" in p.name]


def test_traces_of_recordings(learned: Path, temporary: Path) -> None:
    """Those of the store that preprocess made of them."""
    steps = {"a": 6, "b": 7, "c": 8, "d": 8, "e": 8}
    write_manifest(learned / "traces.jsonl", {n: wave(k / 10, 10) for n, k in steps.items()})
    invoke(learned, "finetune", "media.h5", "--annotations", "traces.jsonl", "--label", "arousal",
           "--encoder", "encoder.safetensors", "--mode", "frozen", "--epochs", 1,
           "-o", "traces.safetensors")  # fmt: skip
    model = ("--model", "traces.safetensors")
    invoke(learned, "predict", "clips/below", "clips/d.mp4", *model, status=2)
    invoke(learned, "predict", "clips/below", "clips/d.mp4", *model, "-o", "recorded.h5")
    invoke(learned, "predict", "media.h5", *model, "-o", "stored.h5")
    recorded, stored = Store(learned / "recorded.h5"), Store(learned / "stored.h5")
    assert sorted(recorded.ids) == ["c", "d"]
    for row, name in enumerate(recorded.ids):
        found = recorded.trace("arousal", row)
        assert len(found) > 10 and np.isfinite(found).all()
        assert np.array_equal(found, stored.trace("arousal", stored.rows[name]))
    assert not list(temporary.iterdir())
