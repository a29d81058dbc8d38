"""What the first commands say to who has not read a manual: the next option or folder to type."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """mein ton/a.wav and b.wav, and beside that folder t.csv, which names them."""
    (tmp_path / "mein ton").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "mein ton" / name).touch()
    (tmp_path / "t.csv").write_text("Datei;Wer;Gefühl\na.wav;1;Wut\nb.wav;2;Ruhe\n", "utf-8")
    return tmp_path


def test_a_table_beside_its_folder_of_recordings(folder: Path) -> None:
    table = ("manifest", "table", "t.csv", "--media", "Datei")
    assert "--root 'mein ton'" in invoke(folder, *table, status=65).stderr
    # Without a label, then without a speaker, then complete.
    table = (*table, "--root", "mein ton")
    said = invoke(folder, *table).stderr
    assert "--label" in said and "--speaker" not in said
    table = (*table, "--label", "emotion=Gefühl")
    said = invoke(folder, *table).stderr
    assert "--speaker" in said and "--label" not in said
    said = invoke(folder, *table, "--speaker", "Wer").stderr
    assert "--speaker" not in said and "--label" not in said


def test_a_table_of_names_without_suffix(folder: Path) -> None:
    (folder / "t.csv").write_text("Datei\na\nb\n", "utf-8")
    table = ("manifest", "table", "t.csv", "--media", "Datei")
    assert "--root 'mein ton'" in invoke(folder, *table, status=65).stderr
    said = invoke(folder, *table, "--root", "mein ton", status=65).stderr
    assert "a.wav" in said and "(--root)" not in said
    # Which of two is meant is not known.
    (folder / "mein ton" / "a.mp4").touch()
    (folder / "mein ton" / "b.mp4").touch()
    assert "(--root)" in invoke(folder, *table, "--root", "mein ton", status=65).stderr


def test_a_folder_without_labels_or_speakers(folder: Path) -> None:
    assert "--layout" in invoke(folder, "manifest", "folder", ".", "-o", "m.jsonl").stderr
    said = invoke(folder, "manifest", "folder", ".", "--layout", "{emotion}/*").stderr
    assert "{speaker}" in said and "--layout" in said
    said = invoke(folder, "manifest", "folder", ".", "--layout", "{emotion}/{speaker}").stderr
    assert "--layout" not in said


def test_training_without_a_label_names_the_options_that_give_one(folder: Path) -> None:
    invoke(folder, "manifest", "folder", ".", "-o", "m.jsonl")
    said = invoke(folder, "train", "m.jsonl", "-o", "x", status=2).stderr
    assert "--layout" in said and "--label emotion=" in said
    assert not (folder / "x").exists()


def test_a_missing_argument_is_described(folder: Path) -> None:
    said = invoke(folder, "manifest", "t.csv", status=2).stderr
    assert "DIR|FILE" in said and "`table`" in said


def test_a_folder_in_place_of_what_it_holds(folder: Path) -> None:
    mine = folder / "mein ton"
    invoke(folder, "manifest", "folder", mine.name, "-o", mine / "m.jsonl")
    # The beginning of a checkpoint.
    (mine / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    said = invoke(folder, "predict", mine / "a.wav", "--model", mine.name, status=65).stderr
    assert "'mein ton/model.safetensors'" in said and "m.jsonl" not in said
    said = invoke(folder, "train", mine.name, "-o", "x", status=65).stderr
    assert "'mein ton/m.jsonl'" in said and "model.safetensors" not in said
    said = invoke(folder, "report", mine.name, "-o", "x.html", status=65).stderr
    assert "m.jsonl" in said and "model.safetensors" in said and "a.wav" not in said


def test_films_without_an_encoder_of_faces(folder: Path) -> None:
    """What is left out is said, before the recordings are decoded."""
    for name in "abcdef":
        path = folder / "films" / ("joy" if name < "d" else "fear") / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    invoke(folder, "manifest", "folder", "films", "--layout", "{emotion}/*", "-o", "m.jsonl")
    assert "pretrain-mae" in invoke(folder, "train", "m.jsonl", "-o", "x", status=65).stderr
