"""finetune --head vavl on utterances with sound, faces or both, and predict."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import paired_stores
import pytest
from chain import invoke
from paired_stores import SMALL, TWO
from two_stores import features, store

from avaffect.core.headers import ClassifierHeader
from avaffect.data.store.reader import Store
from avaffect.settings.two_stream_options import MODALITIES
from avaffect.training import checkpoint

QUICK = ("--steps", 40, "--batch-utterances", 16, "--head-learning-rate", 0.02, "--warmup", 0)
MODEL = ("--model", "v.safetensors")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stores, and a model of classes and of a scalar."""
    folder = tmp_path_factory.mktemp("vavl")
    paired_stores.write(folder)
    finetune(folder, "--label", "emotion", "--label", "arousal", "--without", "residual")
    return folder


@pytest.fixture
def folder(learned: Path, tmp_path: Path) -> Path:
    for path in learned.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


def finetune(folder: Path, *options: object, status: int = 0) -> str:
    return invoke(folder, "finetune", "audio.h5", *TWO, *SMALL, *QUICK, *options, "-f",
                  "-o", "v.safetensors", status=status).stderr  # fmt: skip


def predicted(folder: Path, *options: object, stores: tuple = TWO) -> list[dict]:
    invoke(folder, "predict", "audio.h5", *stores, *MODEL, "--label", "emotion", *options, "-f",
           "-o", "p.jsonl")  # fmt: skip
    lines = (folder / "p.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines][1:-1]


def right(found: list[dict]) -> float:
    return float(np.mean([item["gold"] == item["prediction"] for item in found]))


def test_one_model_learns_from_whatever_utterances_have(folder: Path) -> None:
    header, tensors = checkpoint.load(folder / "v.safetensors")
    described = header["model"]["configuration"]["head"]
    assert described["name"] == "vavl" and described["configuration"]["residual"] is False
    assert described["configuration"]["reconstruction_weight"] == 2.0
    assert tensors["runs.0.head.head.trained"].all()
    # Standardised by the frames of the training part.
    audio = Store(folder / "audio.h5")
    train = [row for row, split in enumerate(audio.meta["split"]) if split == "train"]
    frames = np.concatenate([audio.read("features", row) for row in train])
    mean = tensors["runs.0.head.head.standardisation.mean"]
    np.testing.assert_allclose(mean[:3], frames.mean(axis=0), rtol=1e-4, atol=1e-4)
    losses = {"ce_emotion_audio", "ce_emotion_video", "ce_emotion_av", "ccc_arousal_av",
              "reconstruction_audio", "reconstruction_video"}  # fmt: skip
    assert losses <= header["runs"][0]["metrics"]["last"].keys()
    found = predicted(folder)
    expected = [paired_stores.made_from(row) for row in range(paired_stores.COUNT)]
    assert [item["modality"] for item in found] == expected
    for modality in ("audio", "video", "av"):
        assert right([item for item in found if item["modality"] == modality]) > 0.6, modality


def test_a_stream_is_left_out_or_withheld(folder: Path) -> None:
    whole = {item["id"]: item for item in predicted(folder)}
    for stores, name in ((TWO[:2], "audio"), (TWO[2:], "video")):
        alone = predicted(folder, stores=stores)
        assert alone == predicted(folder, "--modality", name)
        assert len(alone) == 48 and {item["modality"] for item in alone} == {name}
        same = [item == whole[item["id"]] for item in alone]
        assert sum(same) == 24
    predict = ("predict", "audio.h5", *MODEL)
    invoke(folder, *predict, status=65)
    invoke(folder, *predict, *TWO[:2], "--modality", "video", status=2)


def test_a_window_is_made_from_what_it_holds(folder: Path) -> None:
    """Of a stream that ends before the other, later windows have nothing."""
    stores = {name: Store(folder / f"{name}.h5") for name in ("audio", "video")}
    steps = {name: dict(zip(s.ids, s.lengths("features"))) for name, s in stores.items()}
    found = predicted(folder, "--window", 0.4, "--step", 0.2)
    for item in found:
        starts = {"audio": round(item["start"] * 20), "video": round(item["start"] * 10)}
        held = [m for m in starts if starts[m] < steps[m].get(item["id"][:3], 0)]
        assert item["modality"] == ("av" if len(held) == 2 else held[0])
    late = [item for item in found if item["modality"] != "av" and int(item["id"][1:3]) % 3 == 2]
    assert {item["modality"] for item in late} == {"audio", "video"}
    predict = ("predict", "audio.h5", *TWO, *MODEL, "--window")
    assert "no frame" in invoke(folder, *predict, 0.02, status=65).stderr


def test_distances_of_shared_embeddings(folder: Path) -> None:
    found = predicted(folder, "--shared-distance")
    for item in found:
        both = item["modality"] == "av"
        assert (item["shared_distance"] is not None) == both
        assert not both or 0 <= item["shared_distance"] <= 2


def test_without_paired_utterances_the_audiovisual_prediction_is_refused(folder: Path) -> None:
    paired_stores.write(folder, paired=False)
    assert "the audiovisual prediction is never trained" in finetune(folder, "--label", "votes")
    trained = checkpoint.load(folder / "v.safetensors")[1]["runs.0.head.head.trained"]
    assert trained.tolist() == [True, True, False]
    paired_stores.write(folder)
    predict = ("predict", "audio.h5", *TWO, *MODEL)
    found = invoke(folder, *predict, status=65)
    assert "24 utterances" in found.stderr and not found.stdout
    assert len(invoke(folder, *predict, "--modality", "video").stdout.splitlines()) == 50


def test_a_label_that_a_modality_never_has_is_named(folder: Path) -> None:
    """Such as attributes of a corpus of voices beside classes of one of videos."""
    paired_stores.write(folder, arousal_of=("audio",))
    found = finetune(folder, "--label", "emotion", "--label", "arousal", "--steps", 1)
    assert "with video has arousal" in found and "with both streams has arousal" in found
    (run,) = checkpoint.load(folder / "v.safetensors")[0]["runs"]
    assert run["unlearned"] == {"arousal": ["video", "av"]}
    predict = ("predict", "audio.h5", *TWO, *MODEL)
    whole = invoke(folder, *predict)
    assert "48 predictions of it left out" in whole.stderr
    items = [json.loads(line) for line in whole.stdout.splitlines()][1:-1]
    counts = Counter((item["target"], item["modality"]) for item in items)
    assert counts == {("arousal", "audio"): 24, **{("emotion", m): 24 for m in MODALITIES}}
    heard = invoke(folder, *predict, "--modality", "audio", "--label", "arousal")
    assert "of it left out" not in heard.stderr
    alone = invoke(folder, *predict, "--modality", "video", status=65)
    assert "arousal" in alone.stderr and not alone.stdout
    # Files of earlier versions do not say it.
    header, tensors = checkpoint.load(folder / "v.safetensors")
    del header["runs"][0]["unlearned"]
    checkpoint.write(folder / "v.safetensors", ClassifierHeader.from_dict(header), tensors)
    assert len(invoke(folder, *predict).stdout.splitlines()) == 2 * 72 + 2


def test_a_label_of_one_modality_is_no_label_of_both_for_a_mean_of_two(folder: Path) -> None:
    """The audiovisual prediction of uavm is the mean of two that have learned."""
    paired_stores.write(folder, arousal_of=("audio",))
    small = [x for o in ("width=8", "heads=2", "layers=1") for x in ("--head-option", o)]
    invoke(folder, "finetune", "audio.h5", *TWO, "--head", "uavm", *small, "--label", "arousal",
           "--label", "emotion", "--steps", 1, "-o", "u.safetensors")  # fmt: skip
    (run,) = checkpoint.load(folder / "u.safetensors")[0]["runs"]
    assert run["unlearned"] == {"arousal": ["video", "av"]}


def test_mistakes(folder: Path) -> None:
    paths = {name: folder / f"{name}.h5" for name in ("audio", "video")}
    begin = (
        "finetune",
        "audio.h5",
        *SMALL,
        "--label",
        "emotion",
        "--steps",
        1,
        "-o",
        "x.safetensors",
    )
    for given in ((), TWO[:2], ("--features", "audio=audio.h5", "--features", "face=video.h5")):
        invoke(folder, *begin, *given, status=2)
    for wrong in (("--label", "trace"), ("--accumulate", 2), ("--head-option", "attention_heads=3"),
                  ("--without", "memory")):  # fmt: skip
        invoke(folder, *begin, *TWO, *wrong, status=2)
    linear = ("finetune", "audio.h5", "--without", "residual", "-o", "x.safetensors")
    invoke(folder, *linear, status=2)
    # Features of another width, and a store without features.
    rows = [{"identifier": name, "streams": {"features": np.ones((3, 2), "float32")}, "meta": {}}
            for name in Store(paths["video"]).ids]  # fmt: skip
    store(folder / "narrow.h5", features(10.0, 2, "video"), {}, rows)
    other = ("--features", "audio=audio.h5", "--features", "video=narrow.h5")
    invoke(folder, "predict", "audio.h5", *other, *MODEL, status=65)
    store(folder / "none.h5", {}, {}, [{"identifier": "u00", "meta": {}}])
    nothing = ("--features", "audio=audio.h5", "--features", "video=none.h5")
    invoke(folder, *begin, *nothing, status=65)
    assert not (folder / "x.safetensors").exists()
