"""Names of corpora that formats of other programs have uses of their own for, or cannot spell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import talks
from chain import closed, invoke

from avaffect.data import manifest
from avaffect.settings.export import LISTS

CLASSES = {"emotion": {"kind": "class", "classes": ["anger", "sadness"]}}
ANGER, SADNESS = {"labels": {"emotion": "anger"}}, {"labels": {"emotion": "sadness"}}


def corpus(folder: Path, items: list[dict[str, Any]], labels: object = CLASSES) -> None:
    """c.jsonl with these items, whose recordings are made."""
    if not (folder / "talks").is_dir():
        talks.write(folder)
    for item in items:
        path = folder / item["media"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"talks/{'two.flac' if path.suffix == '.flac' else 'one.wav'}", path)
    shutil.rmtree(folder / "talks")
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "corpus", "corpus": "c", "labels": labels}  # fmt: skip
    lines = [json.dumps(header), *(json.dumps({"kind": "item", **item}) for item in items)]
    content = closed("".join(f"{line}\n" for line in lines))
    (folder / "c.jsonl").write_text(content, encoding="utf-8")


def there_and_back(folder: Path, to: str, *options: object) -> tuple[dict[str, Any], str]:
    """Items by id, and what `export` said."""
    out = f"out.{to}" if to in ("csv", "rttm") else "out"
    said = invoke(folder, "export", "c.jsonl", "--to", to, "-o", out).stderr
    if to == "csv":
        columns = ("--id", "id", "--media", "media", "--label", "emotion=emotion")
        invoke(folder, "manifest", "table", out, *columns, "-o", "back.jsonl")
    else:
        root = ("--root", folder) if to in ("elan", "textgrid", "vtt", "rttm") else ()
        invoke(folder, "manifest", to, out, *root, *options, "-o", "back.jsonl")
    return {item["id"]: item for item in manifest.read(folder / "back.jsonl").items}, said


@pytest.mark.parametrize("to", LISTS)
def test_a_field_does_not_stand_for_the_label_of_its_name(tmp_path: Path, to: str) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", "emotion": "sadness", **ANGER}])
    found, said = there_and_back(tmp_path, to)
    assert [item["labels"]["emotion"] for item in found.values()] == ["anger"]
    assert "field emotion" in said


@pytest.mark.parametrize(
    "to, name",
    [("kaldi", "spk"), ("kaldi", "dur"), ("kaldi", "a/b"), ("audformat", "file"),
     ("audformat", "start"), ("huggingface", "audio"), ("elan", "note#2"), ("textgrid", "x#2"),
     ("vtt", "my field")],
)  # fmt: skip
def test_names_that_are_taken_are_left_out_and_named(tmp_path: Path, to: str, name: str) -> None:
    items = [{"id": "a", "media": "a.wav", "speaker": "c_s", name: "other", **ANGER}] if (
        name != "start") else [{"id": "a", "media": "a.wav", "speaker": "c_s",
                                "labels": {"emotion": "anger", "start": 2.0}}]  # fmt: skip
    corpus(tmp_path, items, {**CLASSES, "start": {"kind": "scalar"}})
    found, said = there_and_back(tmp_path, to)
    assert found["a"]["speaker"] == "c_s" and found["a"]["labels"] == {"emotion": "anger"}
    assert "other" not in found["a"].values() and "start" not in found["a"]
    assert repr(name) in said


@pytest.mark.parametrize("to", LISTS)
def test_recordings_whose_names_fall_together_are_not_one(tmp_path: Path, to: str) -> None:
    corpus(tmp_path, [{"id": "a", "media": "x/y/t.wav", "start": 0.5, "end": 1, **ANGER},
                      {"id": "b", "media": "x_y/t.wav", "start": 0.5, "end": 1,
                       **SADNESS}])  # fmt: skip
    if to in ("audformat", "huggingface", "csv"):
        found, _ = there_and_back(tmp_path, to)
        assert found["a"]["media"] != found["b"]["media"]
    else:
        invoke(tmp_path, "export", "c.jsonl", "--to", to, "-o", "out", status=65)
        assert not (tmp_path / "out").exists()


def test_paths_of_kaldi_keep_their_blanks_and_quotes(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "it's  a/x  y.flac", **ANGER},
                      {"id": "b", "media": "p  q.wav", **SADNESS}])  # fmt: skip
    found, _ = there_and_back(tmp_path, "kaldi")
    assert {*found} == {"a", "b"} and found["a"]["media"] == "it's  a/x  y.flac"
    corpus(tmp_path, [{"id": "a", "media": "p  q.wav", "start": 0.5, "end": 1, **ANGER}])
    invoke(tmp_path, "export", "c.jsonl", "--to", "kaldi", "-o", "new", status=65)


def test_numbers_are_ids_of_cues_that_export_wrote(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "7", "media": "a.wav", "start": 0.5, "end": 1, **ANGER}])
    assert {*there_and_back(tmp_path, "vtt")[0]} == {"7"}


def test_control_characters_leave_elan_readable(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", "text": "one\x01two", **ANGER}])
    assert there_and_back(tmp_path, "elan")[0]["a"]["text"] == "one two"


def test_a_split_is_no_path_of_a_file(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", "split": "../../x", **ANGER}])
    invoke(tmp_path, "export", "c.jsonl", "--to", "huggingface", "-o", "out", status=65)
    assert not [*tmp_path.glob("x-*")]


def test_files_without_segments_are_lost_by_name(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", **ANGER}, {"id": "b", "media": "b.wav"}])
    header = {"tables": {"files": {"type": "filewise", "columns": {"sex": {}}},
                         "parts": {"type": "segmented", "columns": {"emotion": {}}}}}  # fmt: skip
    (tmp_path / "db.yaml").write_text(json.dumps(header))
    (tmp_path / "db.files.csv").write_text("file,sex\na.wav,f\nb.wav,m\n")
    (tmp_path / "db.parts.csv").write_text("file,start,end,emotion\na.wav,0,1,anger\n")
    said = invoke(tmp_path, "manifest", "audformat", ".", "-o", "back.jsonl").stderr
    assert "b.wav" in said and len(list(manifest.read(tmp_path / "back.jsonl").items)) == 1


def test_a_segment_without_an_end_in_numbers_is_lost(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", **ANGER}])
    (tmp_path / "wav.scp").write_text("r a.wav\n")
    (tmp_path / "segments").write_text("one r 0 inf\ntwo r 0 nan\nthree r 0 1\n")
    invoke(tmp_path, "manifest", "kaldi", ".", "-o", "back.jsonl")
    assert [item["id"] for item in manifest.read(tmp_path / "back.jsonl").items] == ["three"]


def test_force_deletes_nothing_that_export_did_not_write(tmp_path: Path) -> None:
    corpus(tmp_path, [{"id": "a", "media": "a.wav", **ANGER}])
    invoke(tmp_path, "export", "c.jsonl", "--to", "kaldi", "-o", "out")
    (tmp_path / "out/mine.txt").write_text("notes")
    given = ("export", "c.jsonl", "--to", "vtt", "-o", "out", "--force")
    invoke(tmp_path, *given, status=73)
    assert (tmp_path / "out/mine.txt").read_text() == "notes"
    (tmp_path / "out/mine.txt").unlink()
    invoke(tmp_path, *given)
    assert (tmp_path / "out/a.vtt").is_file() and not (tmp_path / "out/wav.scp").exists()
