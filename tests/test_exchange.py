"""`export` writes what `manifest` reads again, names what a format cannot hold, and leaves other
programs' folders alone."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import talks
from chain import closed, invoke
from test_writing import largest_file

from avaffect.cli.main import run
from avaffect.data import manifest
from avaffect.settings.export import LISTS

FOLDERS = [name for name in LISTS if name not in ("csv", "rttm")]
SHARES = {"t_a": {"anger": 2.0, "happiness": 1.0}, "t_b": {"anger": 0.0, "happiness": 3.0}}
# Of the audio in both directions.
TIMED = ("elan", "textgrid", "vtt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    talks.write(tmp_path)
    return tmp_path


def exported(folder: Path, to: str, *options: object, source: str = "talks.jsonl") -> Path:
    out = folder / (f"out.{to}" if to in ("csv", "rttm") else f"out-{to}")
    invoke(folder, "export", source, "--to", to, *options, "-o", out.name)
    return out


def back(folder: Path, to: str, *options: object) -> dict[str, dict[str, Any]]:
    """Items by id, of what `manifest` reads of an export."""
    source = exported(folder, to)
    root = ("--root", folder / "talks") if to in (*TIMED, "rttm") else ()
    invoke(folder, "manifest", to, source.name, *root, *options, "-o", "back.jsonl")
    found = manifest.read(folder / "back.jsonl")
    assert all((found.folder / item["media"]).is_file() for item in found.items)
    return {item["id"]: item for item in found.items}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("to", FOLDERS)
def test_what_is_written_is_read_again(folder: Path, to: str) -> None:
    found = back(folder, to)
    expected = {item["id"]: item for item in talks.ITEMS}
    assert {*found} == {*expected}
    for identifier, item in found.items():
        was = expected[identifier]
        for name in ("speaker", "split", "text", "turn"):
            assert item.get(name) == was.get(name), (identifier, name)
        assert Path(item["media"]).name == Path(was["media"]).name
        assert item.get("start", 0.0) == was.get("start", 0.0)
        lasts = 1.5 if identifier == "t_d" else 3.0
        assert item.get("end", lasts) == was.get("end", lasts)
        labels = item["labels"]
        for name in ("emotion", "valence"):
            assert labels.get(name) == was["labels"].get(name)
        if to in ("audformat", "huggingface", "lhotse"):
            assert labels.get("votes") == SHARES.get(identifier)
        if to in ("huggingface", "lhotse"):
            assert labels.get("arousal") == was["labels"].get("arousal")
    described = manifest.read(folder / "back.jsonl").header.labels or {}
    kinds = {name: facts.kind for name, facts in described.items()}
    assert kinds["emotion"] == "class" and kinds["valence"] == "scalar"


@pytest.mark.parametrize("to", LISTS)
def test_what_a_format_cannot_hold_is_named(folder: Path, to: str) -> None:
    out = "out.csv" if to == "csv" else "out.rttm" if to == "rttm" else "out"
    said = invoke(folder, "export", "talks.jsonl", "--to", to, "-o", out).stderr
    lost = {"arousal"} if to not in ("huggingface", "lhotse") else set()
    lost |= {"votes"} if to in ("kaldi", *TIMED, "rttm") else set()
    lost |= {"valence", "text", "turn", "split", "id"} if to == "rttm" else set()
    warned = [line for line in said.splitlines() if "warning: " in line]
    named = {name for name in ("arousal", "votes", "valence", "text", "turn", "split", "id",
                               "emotion", "speaker")
             if any(f" {name} " in f"{line.replace(':', ' ')} " for line in warned)}  # fmt: skip
    assert named == lost, said
    # A second run has nothing to do, and keeps what is there.
    again = invoke(folder, "export", "talks.jsonl", "--to", to, "-o", out)
    assert "up to date" in again.stderr


@pytest.mark.parametrize("to", LISTS)
def test_equal_work_has_equal_bytes(folder: Path, to: str) -> None:
    first, second = folder / "first", folder / "second"
    for out in (first, second):
        out.mkdir()
        name = f"{out.name}/x.{to}" if to in ("csv", "rttm") else f"{out.name}/x"
        invoke(folder, "export", "talks.jsonl", "--to", to, "-o", name)
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    # gzip holds a time of a second, in which both may be made.
    assert all((first / p).read_bytes()[4:8] == bytes(4) for p in files if p.suffix == ".gz")
    assert files and [(first / p).read_bytes() for p in files] == [
        (second / p).read_bytes() for p in files
    ]


def test_a_table_is_read_by_manifest_table(folder: Path) -> None:
    exported(folder, "csv")
    rows = table(folder / "out.csv")
    assert float(rows[0]["votes.anger"]) == 2.0 and rows[3]["votes.anger"] == ""
    invoke(folder, "manifest", "table", "out.csv", "--id", "id", "--media", "media", "--speaker",
           "speaker", "--split", "split", "--start", "start", "--end", "end", "--label", "emotion",
           "--scalar", "valence", "--field", "text", "-o", "back.jsonl")  # fmt: skip
    found = {item["id"]: item for item in manifest.read(folder / "back.jsonl").items}
    for item in talks.ITEMS:
        for name in ("speaker", "split", "text", "end"):
            assert found[item["id"]].get(name) == item.get(name)
        assert found[item["id"]]["labels"].get("emotion") == item["labels"].get("emotion")


def test_turns_of_speakers(folder: Path) -> None:
    found = back(folder, "rttm")
    turns = {(i["media"], i.get("start", 0.0), i["end"], i["speaker"], i["labels"].get("emotion"))
             for i in found.values()}  # fmt: skip
    assert turns == {
        ("one.wav", 0.5, 1.25, "t_ann", "anger"), ("one.wav", 1.0, 2.0, "t_bob", "happiness"),
        ("one.wav", 2.0, 3.0, "t_ann", "happiness"), ("two.flac", 0.0, 1.5, "t_bob", None),
    }  # fmt: skip
    lines = (folder / "out.rttm").read_text().splitlines()
    assert lines[0].split() == ["SPEAKER", "one", "1", "0.500000", "0.750000", "<NA>", "anger",
                                "t_ann", "<NA>", "<NA>"]  # fmt: skip


def predictions(folder: Path, runs: int = 1) -> None:
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "predictions", "target": "emotion", "runs": runs}  # fmt: skip
    items = [
        {"kind": "item", "id": f"w_{start}", "media": "talks/one.wav", "start": float(start),
         "end": start + 1.0, "split": None, "target": "emotion", "gold": None,
         "prediction": "anger" if (start + run) % 2 else "happiness",
         "scores": {"anger": 0.75, "happiness": 0.25}, "run": run, "seen": "no"}
        for run in range(runs) for start in range(3)
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in (header, *items))
    (folder / "p.jsonl").write_text(closed(text), encoding="utf-8")


def test_predictions_beside_the_recording(folder: Path) -> None:
    predictions(folder, runs=2)
    assert invoke(folder, "export", "p.jsonl", "--to", "vtt", "-o", "out", status=65).stderr
    assert not (folder / "out").exists()
    exported(folder, "vtt", "--run", 1, source="p.jsonl")
    text = (folder / "out-vtt" / "one.vtt").read_text()
    assert "00:00:01.000 --> 00:00:02.000\nemotion_predicted: happiness\n" in text
    exported(folder, "rttm", "--run", 0, source="p.jsonl")
    fields = (folder / "out.rttm").read_text().splitlines()[1].split()
    assert (fields[6], fields[8]) == ("anger", "0.75")
    exported(folder, "csv", "--run", 0, source="p.jsonl")
    rows = table(folder / "out.csv")
    assert [row["emotion_predicted"] for row in rows] == ["happiness", "anger", "happiness"]
    assert rows[0]["emotion_scores.anger"] == "0.75"


def test_what_a_killed_export_left_is_removed(folder: Path) -> None:
    """Killed when its folder was whole, and its lock still there."""
    out = exported(folder, "kaldi")
    left = folder / f"{out.name}.state"
    left.mkdir()
    (left / "lock").write_bytes(b"")
    assert exported(folder, "kaldi") == out and not left.exists()


def test_folders_of_others_are_left_alone(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "wav.scp").write_text("x y\n")
    for more in ((), ("--force",)):
        invoke(folder, "export", "talks.jsonl", "--to", "kaldi", *more, "-o", "mine", status=73)
    assert [p.name for p in (folder / "mine").iterdir()] == ["wav.scp"]
    exported(folder, "kaldi")
    invoke(folder, "export", "talks.jsonl", "--to", "vtt", "-o", "out-kaldi", status=73)
    assert (folder / "out-kaldi" / "wav.scp").is_file()
    invoke(folder, "export", "talks.jsonl", "--to", "vtt", "-f", "-o", "out-kaldi")
    assert not (folder / "out-kaldi" / "wav.scp").exists()
    assert (folder / "out-kaldi" / "one.vtt").is_file()
    assert not [p.name for p in folder.iterdir() if p.name.endswith((".partial", ".state"))]


def test_a_failure_leaves_nothing(folder: Path) -> None:
    (folder / "talks" / "two.flac").unlink()
    for to in ("lhotse", "textgrid"):
        invoke(folder, "export", "talks.jsonl", "--to", to, "-o", "out", status=65)
    invoke(folder, "export", "talks.jsonl", "--to", "vtt", "--embed", "-o", "out", status=2)
    invoke(folder, "export", "talks.jsonl", "--to", "csv", "-o", "out.parquet", status=2)
    assert sorted(p.name for p in folder.iterdir()) == ["talks", "talks.jsonl"]


@pytest.mark.parametrize("to", LISTS)
def test_a_full_disk_leaves_what_was_there(folder: Path, to: str) -> None:
    """By a limit on the size of files: from the lock on, and in the middle of the work."""
    invoke(folder, "select", "talks.jsonl", "--limit", 1, "-o", "one.jsonl")
    out = exported(folder, to)
    made = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    largest = max(path.stat().st_size for path in made)
    exported(folder, to, "-f", source="one.jsonl")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for size in (0, largest - 1):
        with largest_file(size):
            said = invoke(folder, "export", "talks.jsonl", "--to", to, "-f", "-o", out.name,
                          status=1).stderr  # fmt: skip
        assert said.splitlines()[-1].startswith(f"avaffect: {out.name} cannot be written: ")
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    for to, out in (("kaldi", "out"), ("rttm", "out.rttm")):
        said = invoke(folder, "export", "talks.jsonl", "--to", to, "-n", "-o", out).stderr
        assert "would" in said and not (folder / out).exists()


def test_labels_by_name_and_map(folder: Path) -> None:
    """A tier of another name, in other words; other tiers are fields, with all words within."""
    shutil.rmtree(folder / "talks", ignore_errors=False)
    talks_folder = folder / "more"
    talks_folder.mkdir()
    talks.write(talks_folder)
    (talks_folder / "talks" / "one.eaf").write_text(
        """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="s1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="s2"/>
<TIME_SLOT TIME_SLOT_ID="s3" TIME_VALUE="900"/></TIME_ORDER>
<TIER TIER_ID="Words"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="s1"
 TIME_SLOT_REF2="s2"><ANNOTATION_VALUE>so</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="s2" TIME_SLOT_REF2="s3">
<ANNOTATION_VALUE>what</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="Affect"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="s1"
 TIME_SLOT_REF2="s3"><ANNOTATION_VALUE>Wut</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER><TIER TIER_ID="Sure" PARENT_REF="Affect"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4"
 ANNOTATION_REF="a3"><ANNOTATION_VALUE>0.5</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""
    )
    more = ("--scalar", "sure=Sure", "--field", "text=Words")
    invoke(folder, "manifest", "elan", "more/talks", "--label", "emotion=Affect", "--map",
           "Wut=anger", *more, "-o", "m.jsonl")  # fmt: skip
    (item,) = manifest.read(folder / "m.jsonl").items
    assert item["labels"] == {"emotion": "anger", "sure": 0.5} and item["text"] == "so what"
    assert (item["start"], item["end"], item["media"]) == (0.1, 0.9, "one.wav")
    for wrong in (("--label", "x=Nope"), ("--label", "emotion=Affect", "--map", "Zorn=x")):
        invoke(folder, "manifest", "elan", "more/talks", *wrong, "-o", "n.jsonl", status=65)


@pytest.mark.parametrize("to", [*FOLDERS, "rttm"])
def test_damage_is_named_and_refused(folder: Path, to: str) -> None:
    """Files that are cut short or no such files: 65, never a traceback or half of a corpus."""
    source = exported(folder, to)
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    whole = {path: path.read_bytes() for path in files}
    for path, content in whole.items():
        if path.suffix in (".vtt",) or path.name.startswith("utt2") or path.name == "text":
            # A cue less, or a label less, is another file of the same kind.
            continue
        for damage in (b"", content[: len(content) // 2], b"\xff\x00" + content[2:]):
            path.write_bytes(damage)
            found = status_of(folder, "manifest", to, source.name, "--root", "talks", "-f",
                               "-o", "x.jsonl")  # fmt: skip
            assert found in (0, 65), (path, damage[:20])
        path.write_bytes(content)


def status_of(folder: Path, *arguments: object) -> int:
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return run([str(argument) for argument in arguments])
    finally:
        os.chdir(before)


def test_entities_are_refused(folder: Path) -> None:
    """Of two files that differ in the declaration of an entity alone, one is read."""
    source = exported(folder, "elan")
    path = source / "two.eaf"
    text = path.read_text(encoding="utf-8")
    read = ("manifest", "elan", path.relative_to(folder), "--root", "talks", "-f", "-o", "x.jsonl")
    invoke(folder, *read)
    declared = '<!DOCTYPE ANNOTATION_DOCUMENT [<!ENTITY a "aaaa">]>'
    path.write_text(text.replace("<ANNOTATION_DOCUMENT", declared + "<ANNOTATION_DOCUMENT", 1))
    invoke(folder, *read, status=65)


def test_a_recording_is_found_by_the_link_in_a_file(folder: Path) -> None:
    """Whose name has signs that a URL quotes; the file itself is called otherwise."""
    shutil.copy(folder / "talks" / "one.wav", folder / "talks" / "zwölf % 1.wav")
    (folder / "t.csv").write_text("path,e\ntalks/zwölf % 1.wav,anger\n", encoding="utf-8")
    invoke(folder, "manifest", "table", "t.csv", "--media", "path", "--label", "emotion=e", "-o",
           "t.jsonl")  # fmt: skip
    out = exported(folder, "elan", source="t.jsonl")
    (out / "zwölf % 1.eaf").rename(folder / "other.eaf")
    invoke(folder, "manifest", "elan", "other.eaf", "--root", "talks", "-o", "m.jsonl")
    (item,) = manifest.read(folder / "m.jsonl").items
    assert item["media"] == "zwölf % 1.wav" and item["labels"] == {"emotion": "anger"}


def test_files_of_kaldi_are_sorted_as_bytes(folder: Path) -> None:
    """As LC_ALL=C sort has it, whatever the order of the manifest."""
    lines = (folder / "talks.jsonl").read_text(encoding="utf-8").splitlines()
    items = [line.replace('"t_a"', '"t_Z"').replace('"t_c"', '"t_ö"') for line in lines[1:-1]]
    text = "".join(f"{line}\n" for line in (lines[0], *reversed(items)))
    (folder / "other.jsonl").write_text(closed(text), encoding="utf-8")
    out = exported(folder, "kaldi", source="other.jsonl")
    for path in out.iterdir():
        if path.suffix != ".json":
            found = path.read_bytes().splitlines()
            assert found == sorted(found, key=lambda line: line.split()[0]), path.name
    keys = [line.split()[0] for line in (out / "utt2spk").read_text("utf-8").splitlines()]
    assert keys == ["t_Z", "t_b", "t_d", "t_ö"]
    spoken = (out / "spk2utt").read_text("utf-8").splitlines()
    assert spoken == ["t_ann t_Z t_ö", "t_bob t_b t_d"]


def test_a_line_without_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilobyte of gzip may be a gigabyte."""
    monkeypatch.setattr(manifest, "LARGEST_LINE", 1 << 16)
    (folder / "talks" / "cuts.jsonl.gz").write_bytes(gzip.compress(b'{"id": "' + b"x" * (1 << 20)))
    said = invoke(folder, "manifest", "lhotse", "talks", "-o", "x.jsonl", status=65).stderr
    assert "cuts.jsonl.gz" in said and not (folder / "x.jsonl").exists()


def test_aliases_of_a_header_take_no_memory(folder: Path) -> None:
    """Each line ten times the one before: what YAML calls a billion laughs."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)
    ]
    (folder / "talks" / "db.yaml").write_text("\n".join([*lines, "tables: *a8"]) + "\n")
    invoke(folder, "manifest", "audformat", "talks", "-o", "x.jsonl", status=65)


def test_commands_in_wav_scp_are_not_run(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    decoded = f"sox {folder}/talks/two.flac -t wav - |"
    (data / "wav.scp").write_text(f"a touch {folder}/ran |\nb {decoded}\n")
    invoke(folder, "manifest", "kaldi", "data", "-o", "m.jsonl")
    assert [item["id"] for item in manifest.read(folder / "m.jsonl").items] == ["b"]
    assert not (folder / "ran").exists()


def test_cuts_alone(folder: Path) -> None:
    out = exported(folder, "lhotse")
    cut = json.loads(gzip.decompress((out / "cuts.jsonl.gz").read_bytes()).splitlines()[0])
    assert (cut["start"], cut["duration"], cut["supervisions"][0]["start"]) == (0.5, 0.75, 0.0)
    invoke(folder, "manifest", "lhotse", out / "cuts.jsonl.gz", "-o", "m.jsonl")
    first = manifest.read(folder / "m.jsonl").items[0]
    assert (first["start"], first["end"], first["labels"]["emotion"]) == (0.5, 1.25, "anger")


def test_recordings_inside_a_data_set(folder: Path) -> None:
    exported(folder, "huggingface", "--embed")
    shutil.move(folder / "talks", folder / "gone")
    read = ("manifest", "huggingface", "out-huggingface", "-o", "m.jsonl")
    invoke(folder, *read, status=2)
    invoke(folder, *read, "--unpack", "media")
    found = manifest.read(folder / "m.jsonl")
    assert len(found) == 4
    for item in found.items:
        was = next(i for i in talks.ITEMS if i["id"] == item["id"])
        assert (found.folder / item["media"]).read_bytes() == (
            folder / "gone" / Path(was["media"]).name
        ).read_bytes()
