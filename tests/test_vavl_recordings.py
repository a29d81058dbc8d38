"""VAVL on real recordings: sound alone (EmoDB), silent faces (MEAD) and talking faces (GRID)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from avaffect.data import manifest

SPOKEN = ("03a01Fa", "03a01Nc", "03a01Wa", "08a01Fd", "08a01Na", "08a01Wa")
TALKING = ("bbaf2n", "brbk7n", "lbax4n")
SMALL = ("projection=8", "units=8", "attention_heads=2", "kernel=5")


@pytest.fixture(scope="session")
def whisper(recordings: Path) -> Path:
    folder = recordings.parent / "models" / "whisper-tiny.en"
    if not folder.is_dir():
        pytest.skip(f"the encoder of Whisper is not at {folder}")
    return folder


def table(recordings: Path, path: Path) -> Path:
    rows = [(f"emodb/{name}.wav", name[:2], name[5]) for name in SPOKEN]
    rows += [(f"video_grid/{name}.mpg", name, "N") for name in TALKING]
    rows += [("video_mead/happy.mp4", "happy", "F")]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "speaker", "emotion"])
        writer.writerows((recordings / media, *rest) for media, *rest in rows)
    return path


def test_one_classifier_serves_sound_faces_and_both(recordings, whisper, avaffect, tmp_path):
    made = {name: tmp_path / name for name in ("M.jsonl", "M.h5", "w", "f", "audio.h5", "video.h5")}
    avaffect(
        "manifest", "table", table(recordings, tmp_path / "table.csv"), "--media", "path",
        "--speaker", "speaker", "--label", "emotion=emotion", "-o", made["M.jsonl"],
    )  # fmt: skip
    avaffect("preprocess", made["M.jsonl"], "--size", 48, "-o", made["M.h5"])
    avaffect("import", whisper, "-o", made["w"])
    avaffect("pretrain-byol", made["M.h5"], "--preset", "nano", "--steps", 0, "-o", made["f"])
    extract = ("extract", made["M.h5"], "--model")
    avaffect(*extract, made["w"], "-o", made["audio.h5"])
    avaffect(*extract, made["f"], "--modality", "video", "-o", made["video.h5"])
    features = [f"--features={name}={made[f'{name}.h5']}" for name in ("audio", "video")]
    model = tmp_path / "vavl"
    avaffect(
        "finetune", made["M.h5"], *features, "--head", "vavl", "--hidden", 8, "--label", "emotion",
        *(f"--head-option={setting}" for setting in SMALL), "--epochs", 1, "-o", model,
    )  # fmt: skip

    def predict(*arguments: str) -> dict[str, dict]:
        path = tmp_path / "-".join(["predicted", *arguments])
        avaffect("predict", made["M.h5"], "--model", model, *features, *arguments, "-o", path)
        return {item["id"]: item for item in manifest.read(path, "predictions").items}

    both, heard, seen = predict(), predict("--modality", "audio"), predict("--modality", "video")
    assert {k: v["modality"] for k, v in both.items()} == {
        **dict.fromkeys(SPOKEN, "audio"), **dict.fromkeys(TALKING, "av"), "happy": "video",
    }  # fmt: skip
    assert set(heard) == {*SPOKEN, *TALKING} and set(seen) == {*TALKING, "happy"}
    for alone in (heard, seen):
        for name, item in alone.items():
            same = item["scores"] == both[name]["scores"]
            assert same == (both[name]["modality"] != "av"), name
