"""Names of strangers: shown as escapes, refused as ids, and no way to files that are no
recordings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from chain import closed, invoke
from stores import make

from avaffect.cli.console import ConsoleProgress
from avaffect.core.errors import DataError
from avaffect.core.shown import is_plain, on_one_line
from avaffect.data import manifest
from avaffect.data.decoding.unusable import Unusable, opened
from avaffect.data.store.reader import Store

# Clears the screen, in two spellings; starts a line; turns the text; deletes a character.
HOSTILE = ("\x1b[2J", "\x9b2J", "a\nok", "a\rok", "\u202eexe", "a\x7f", "a\u2028b", "a\0")


def _corpus(path: Path, label: str = "emotion", **fields: object) -> Path:
    described = {label: {"kind": "class", "classes": [label]}}
    header = {"kind": "header", "format": "avaffect-manifest", "version": "1.1",
              "content": "corpus", "labels": described, "corpus": "c"}  # fmt: skip
    item = {"kind": "item", "id": "u", "media": "u.wav", **fields}
    end = {"kind": "end", "count": 1}
    path.write_text(closed("".join(json.dumps(r) + "\n" for r in (header, item, end))), "utf-8")
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_obeys_is_shown(name: str, capsys: pytest.CaptureFixture) -> None:
    shown = on_one_line(name)
    assert not is_plain(name) and is_plain(shown) and shown.isascii()
    ConsoleProgress().warn(f"lost {name}")
    ConsoleProgress().say(name)
    assert all(is_plain(line) for line in capsys.readouterr().err.split("\n"))


def test_plain_names_stay() -> None:
    for name in ("é ü 名", "می‌خواهم", "a b", "[red]", "👩‍🔬"):
        assert is_plain(name) and on_one_line(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_ids_are_plain(name: str, tmp_path: Path) -> None:
    _corpus(tmp_path / "m.jsonl", id=name)
    for command in ("info", "check", "select", "split"):
        found = invoke(tmp_path, command, "m.jsonl", status=65)
        assert "m.jsonl" in found.stderr and all(map(is_plain, found.stderr.split("\n")))
    with pytest.raises(DataError):
        manifest.write(tmp_path / "n.jsonl", manifest.new_header("corpus"), [{"id": name}])
    assert not (tmp_path / "n.jsonl").exists()


@pytest.mark.parametrize("name", HOSTILE[:-1])
def test_ids_of_stores_are_plain(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", 2)
    with h5py.File(path, "r+") as file:
        ids = file["id"]
        texts = np.array([b"id_0", name.encode()], dtype=h5py.string_dtype("utf-8", 9))
        del file["id"], file.attrs["column_digests"]
        file["id"] = texts
    with pytest.raises(DataError, match="control character"):
        print(Store(path).ids, ids)


def test_other_names_are_shown_escaped(tmp_path: Path) -> None:
    """Labels, speakers, media and files, in what commands say."""
    label = "\x1b]0;x"
    _corpus(tmp_path / "m.jsonl", label, speaker="\x1b[2J", labels={label: label},
            media="\x1b[2J.wav")  # fmt: skip
    weird = tmp_path / "\x1b[2J.jsonl"
    weird.write_bytes((tmp_path / "m.jsonl").read_bytes())
    for arguments, status in (
        (("info", "m.jsonl"), 0), (("info", weird.name), 0), (("check", weird.name), 0),
        (("preprocess", "m.jsonl", "-o", "s.h5", "-j", 1, "--strict"), 65),
        (("split", "m.jsonl", "--by", "speaker", "-o", "p.jsonl"), 65),
        (("finetune", weird.name, "-o", "er.safetensors"), 65),
    ):  # fmt: skip
        found = invoke(tmp_path, *arguments, status=status)
        for line in (found.stdout + found.stderr).split("\n"):
            assert is_plain(line), arguments


def test_a_recording_whose_name_breaks_a_line(tmp_path: Path) -> None:
    """Its id would be that name."""
    (tmp_path / "a\nok.wav").write_bytes(b"RIFF")
    found = invoke(tmp_path, "manifest", "speech-commands", ".", "-o", "m.jsonl", status=65)
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("fields", [{"media": "a\0b.wav"}, {"media": {"video": "\0"}}])
def test_a_path_with_a_nul(fields: dict[str, object], tmp_path: Path) -> None:
    _corpus(tmp_path / "m.jsonl", **fields)
    found = invoke(tmp_path, "preprocess", "m.jsonl", "-o", "s.h5", status=65)
    assert "m.jsonl" in found.stderr


TEXT = "\x1b[31mroot:x:0:0:secret\x1b[0m\n" * 40


@pytest.mark.parametrize("name", ["a.txt", "a.nfo", "a.wav", "a.srt", "a.ass", "a.idx", "a%d.png"])
def test_a_text_is_no_recording(name: str, tmp_path: Path) -> None:
    """FFmpeg draws some as pictures, or opens the files that they name."""
    path = tmp_path / name
    path.write_text("# VobSub index file, v7\n" * (name == "a.idx") + TEXT, encoding="utf-8")
    with pytest.raises(Unusable), opened(path):
        pass


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link"])
def test_only_files_are_recordings(kind: str, tmp_path: Path) -> None:
    """A pipe would hang the command, /dev/zero fill the disk."""
    name = {"device": "/dev/zero", "link": "z.wav"}.get(kind, "x.wav")
    path = tmp_path / "x.wav"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "z.wav").symlink_to("/dev/zero")
    _corpus(tmp_path / "m.jsonl", media=name)
    found = invoke(tmp_path, "preprocess", "m.jsonl", "-o", "s.h5", "-j", 1, status=65)
    assert f"lost u ({name})" in found.stderr and not (tmp_path / "s.h5").exists()


def test_recordings_lie_within_a_folder(tmp_path: Path) -> None:
    """By default they lie anywhere, as corpora on clusters do."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "other").mkdir()
    for name in ("corpus/a.wav", "other/b.wav"):
        soundfile.write(tmp_path / name, 0.5 * np.sin(np.arange(8000) / 9), 16000)
    (tmp_path / "corpus" / "link.wav").symlink_to(tmp_path / "other/b.wav")

    def preprocess(media: object, *options: str, status: int = 0) -> str:
        _corpus(tmp_path / "corpus/m.jsonl", media=media)
        found = invoke(
            tmp_path, "preprocess", "corpus/m.jsonl", "-j", 1, "--without", "video", "--force",
            "-o", "s.h5", *options, status=status,
        )  # fmt: skip
        return found.stderr

    within = ("--within", "corpus")
    for outside in ("../other/b.wav", str(tmp_path / "other/b.wav"), "link.wav",
                    {"audio": "a.wav", "video": "/dev/zero"}):  # fmt: skip
        said = preprocess(outside, *within, status=65)
        assert "m.jsonl" in said and "outside of corpus" in said
    for inside in ("a.wav", str(tmp_path / "corpus/a.wav"), "../corpus/a.wav"):
        preprocess(inside, *within)
    for no_folder in ("nowhere", "corpus/a.wav"):
        preprocess("a.wav", "--within", no_folder, status=2)
    for anywhere in ("../other/b.wav", str(tmp_path / "other/b.wav"), "link.wav"):
        preprocess(anywhere)
