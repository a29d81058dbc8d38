"""Texts of other programs that are not UTF-8: their encoding has a mark, or the user names it."""

from __future__ import annotations

import io
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from chain import closed, invoke
from corpus_folders import touch

import avaffect
from avaffect.core import inputs
from avaffect.core.errors import DataError, UsageError
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.tables.reader import read_table
from avaffect.data.tables.streamed import stream_table
from avaffect.settings.manifest import ManifestSettings

TEXT = "Datei;Person;Gefühl\nä.wav;Jörg;Glück – „gut“\n"
VALUES = ["ä.wav", "Jörg", "Glück – „gut“"]
NAMED = {"utf-8": "cp1252", "utf-8-sig": "cp1252", "utf-16": "cp1252", "cp1252": "cp1252",
         "utf-16-le": "utf-16-le", "utf-16-be": "UTF-16BE", "mac-roman": "mac_roman"}  # fmt: skip


def in_encoding(name: str | None) -> AbstractContextManager[None]:
    settings = ManifestSettings(corpus="table", source=Path("t.csv"), encoding=name)
    return inputs.of_command(settings)


@pytest.mark.parametrize("saved", NAMED)
def test_the_named_encoding_is_of_texts_without_a_sign_of_another(
    saved: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode(saved))
    with in_encoding(NAMED[saved]):
        whole, streamed = read_table(path), stream_table(path)
        assert whole.names == streamed.names == ["Datei", "Person", "Gefühl"]
        assert whole.rows[0][1] == next(iter(streamed.rows()))[1] == VALUES


@pytest.mark.parametrize("name", ["iso2022_jp", "shift-jis", "gb18030"])
def test_encodings_of_asia(name: str, tmp_path: Path) -> None:
    """The first has bytes of ASCII alone."""
    path = tmp_path / "t.csv"
    path.write_bytes("file,感情\na.wav,喜\n".encode(name))
    with in_encoding(name):
        assert read_table(path, ["感情"]).rows[0][1] == ["a.wav", "喜"]


def test_without_a_name_nothing_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode("cp1252"))
    for read in (read_table, lambda path: [*stream_table(path).rows()]):
        with in_encoding(None), pytest.raises(DataError, match=r"line 1.*--encoding cp1252"):
            read(path)
        # Of a command without the option.
        with pytest.raises(DataError, match=r"line 1.*iconv -f CP1252"):
            read(path)
    with in_encoding("ascii"), pytest.raises(DataError, match="--encoding"):
        read_table(path)


@pytest.mark.parametrize("name", ["cp125", "base64", "rot13", "", "a\0b", "undefined"])
def test_what_is_no_encoding_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        ManifestSettings(corpus="table", source=Path("t.csv"), encoding=name)


def test_a_table_and_its_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "ä.wav")
    (tmp_path / "t.csv").write_bytes(TEXT.encode("cp1252"))
    options = ("--media", "Datei", "--speaker", "Person", "--label", "emotion=Gefühl")
    said = invoke(tmp_path, "manifest", "table", "t.csv", *options, "-o", "m.jsonl", status=65)
    assert "--encoding cp1252" in said.stderr and "iconv" not in said.stderr
    invoke(tmp_path, "manifest", "table", "t.csv", *options, "--encoding", "cp1252",
           "-o", "m.jsonl")  # fmt: skip
    found = manifest.read(tmp_path / "m.jsonl")
    assert found.items[0]["speaker"] == "Jörg"
    assert found.header.provenance["settings"]["encoding"] == "cp1252"
    invoke(tmp_path, "manifest", "tess", ".", "--encoding", "cp1252", "-o", "x", status=2)
    cues = "1\n00:00:00,100 --> 00:00:00,400\nGlück\n"
    (tmp_path / "ä.srt").write_bytes(cues.encode("cp1252"))
    read = ("manifest", "vtt", "ä.srt", "-o", "v.jsonl")
    invoke(tmp_path, *read, status=65)
    invoke(tmp_path, *read, "--encoding", "cp1252")
    assert manifest.read(tmp_path / "v.jsonl").items[0]["text"] == "Glück"
    # The Python function, and a pipe.
    piped = io.TextIOWrapper(io.BytesIO(TEXT.encode("cp1252")))
    monkeypatch.setattr(sys, "stdin", piped)
    monkeypatch.chdir(tmp_path)
    avaffect.manifest("table", "-", media_column="Datei", encoding="cp1252", output="p.jsonl")
    assert manifest.read(tmp_path / "p.jsonl").items[0]["id"] == "ä"


def test_tables_beside_stores(tmp_path: Path) -> None:
    """Lists of parts and of ids, predictions and features."""
    names = ["för", "gär", "hör"]
    items = [{"kind": "item", "id": name, "media": f"{name}.wav", "speaker": name,
              "labels": {"emotion": "anger"}} for name in names]  # fmt: skip
    labels = {"emotion": {"kind": "class", "classes": ["anger"]}}
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "corpus", "labels": labels}  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in (header, *items))
    (tmp_path / "m.jsonl").write_text(closed(text), encoding="utf-8")
    for name in names:
        (tmp_path / f"{name[0]}.txt").write_bytes(f"{name}\n".encode("cp1252"))
    lists = [f"--list={part}={file}.txt" for part, file in enumerate("fgh")]
    table = "id,emotion,a,b\n" + "".join(f"{name},anger,1,2\n" for name in names)
    (tmp_path / "p.csv").write_bytes(table.encode("cp1252"))
    for command in (
        ("split", "m.jsonl", *lists, "-o", "s.jsonl"),
        ("select", "m.jsonl", "--ids", "f.txt", "-o", "i.jsonl"),
        ("eval-class", "p.csv", "--gold", "m.jsonl", "--label", "emotion", "-o", "r.json"),
        ("import-features", "p.csv", "--columns", "a", "--columns", "b", "-o", "f.h5"),
    ):
        assert "--encoding cp1252" in invoke(tmp_path, *command, status=65).stderr
        invoke(tmp_path, *command, "--encoding", "cp1252")
    assert [i["fold"] for i in manifest.read(tmp_path / "s.jsonl").items] == [0, 1, 2]
    assert [i["id"] for i in manifest.read(tmp_path / "i.jsonl").items] == ["för"]
    assert json.loads((tmp_path / "r.json").read_text())["accuracy"] == 1.0
    assert [*Store(tmp_path / "f.h5").ids] == names
    for name in ("split", "select"):
        invoke(tmp_path, name, "m.jsonl", "--encoding", "cp1252", "-o", "x", status=2)


def test_traces(tmp_path: Path) -> None:
    for place in ("p", "g"):
        (tmp_path / place).mkdir()
        rows = "".join(f"für,{k / 10},{np.sin(k)}\n" for k in range(50))
        (tmp_path / place / "r.csv").write_bytes(f"name,time,arousal\n{rows}".encode("cp1252"))
    scored = ("eval-ccc", "p", "--gold", "g", "-o", "r.json")
    invoke(tmp_path, *scored, status=65)
    invoke(tmp_path, *scored, "--encoding", "latin-1")


BAD = (b"x,y\n1,2\n", b"", b"file\n\xf6.wav\n", b"file\nno.wav\n", b'file\n"x\n', b"PK\x03\x04",
       b"file,b\nx,y,z\n", b"\0\0file", b"file,file\nx,y\n")  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_standard_input_has_a_name(text: bytes, tmp_path: Path) -> None:
    read = ("manifest", "table", "-", "--media", "file")
    said = invoke(tmp_path, *read, status=65, stdin=text).stderr
    assert said.startswith("avaffect: standard input"), said


HERE = {
    ("info", "-"): 65, ("report", "-", "-o", "r.html"): 65, ("lineage", "-"): 65,
    ("select", "m.jsonl", "--ids", "-", "-o", "q.jsonl"): 65,
    ("finetune", "-"): 65, ("import-features", "-", "-o", "f.h5"): 65,
    ("manifest", "emodb", "-"): 2, ("manifest", "vtt", "-"): 2, ("monitor", "-"): 2,
    ("split", "m.jsonl", *(f"--list={part}=-" for part in ("train", "test")), "-o", "q.jsonl"): 65,
}  # fmt: skip


@pytest.mark.parametrize(("line", "status"), HERE.items(), ids=str)
def test_where_standard_input_is_not_read(
    line: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    items = [{"id": "a", "media": "a.wav", "labels": {}}]
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus", labels={}), items)
    said = invoke(tmp_path, *line, status=status, stdin="x,y\n1,2\n").stderr
    assert "standard input" in said


@pytest.mark.parametrize("command", ["select", "split", "preprocess"])
def test_the_command_for_a_piped_table_reads_the_pipe(command: str, tmp_path: Path) -> None:
    out = "x.h5" if command == "preprocess" else "x.jsonl"
    said = invoke(tmp_path, command, "-", "-o", out, status=65, stdin="x,y\n1,2\n").stderr
    assert said.startswith("avaffect: standard input is") and "manifest table - " in said
