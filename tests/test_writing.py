"""Outputs that the machine does not take: named as users know them; nothing is left of them."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from chain import invoke
from safetensors import SafetensorError
from stores import make
from torch import nn

from avaffect.core.atomic import atomic_path, write_text
from avaffect.core.errors import DataError, WriteError
from avaffect.core.writing import writing
from avaffect.data import manifest
from avaffect.data.pictures import write_png
from avaffect.training import checkpoint, state
from avaffect.training.history import History


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: a real fault in the middle of writing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def corpus(path: Path, count: int = 500) -> Path:
    items = [{"id": f"u{n}", "media": f"{n}.wav", "speaker": f"s{n % 9}"} for n in range(count)]
    manifest.write(path, manifest.new_header("corpus"), items)
    return path


def _checkpoint(folder: Path) -> Path:
    checkpoint.save(folder / "x.safetensors", "encoder", {"a": torch.zeros(4000)})
    return folder / "x.safetensors"


def _state(folder: Path) -> Path:
    state.save_state(folder, state.snapshot(nn.Linear(90, 90), {}, {}), {})
    return folder / state.STATE_FILE


def _history(folder: Path) -> Path:
    history = History(folder / "x.metrics.jsonl", {})
    for step in range(1000):
        history.write({"step": step})
    return folder / "x.metrics.jsonl"


def _manifest(folder: Path) -> Path:
    return corpus(folder / "m.jsonl")


def _store(folder: Path) -> Path:
    return make(folder / "s.h5", 90)


def _picture(folder: Path) -> Path:
    noise = torch.randint(0, 255, (90, 90), generator=torch.Generator(), dtype=torch.uint8)
    write_png(folder / "p.png", noise.numpy())
    return folder / "p.png"


WRITERS = (_checkpoint, _state, _history, _manifest, _store, _picture)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.strip("_"))
def test_a_fault_in_the_middle_names_the_output(write, tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()
    path = write(tmp_path / "right")
    with largest_file(3000), pytest.raises(WriteError) as caught:
        write(tmp_path / "wrong")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'wrong' / path.name} cannot be written: ")
    assert "ulimit -f" in said and "-o" in said
    assert "Errno" not in said and ".partial" not in said
    # A history keeps what was whole; others appear whole or not at all.
    left = [found.name for found in (tmp_path / "wrong").iterdir()]
    assert left == ([path.name] if write is _history else [])


def test_commands_end_with_1(tmp_path: Path) -> None:
    corpus(tmp_path / "m.jsonl")
    make(tmp_path / "a.h5", 9)
    with largest_file(3000):
        for output, arguments in (
            ("o.jsonl", ("select", "m.jsonl")),
            ("o.h5", ("merge", "a.h5")),
        ):
            found = invoke(tmp_path, *arguments, "-q", "-o", output, status=1)
            assert found.stderr.startswith(f"avaffect: {output} cannot be written: ")
            assert found.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "m.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [("select", "m.jsonl"), ("info", "m.jsonl")])
def test_a_full_standard_output(arguments, tmp_path: Path) -> None:
    corpus(tmp_path / "m.jsonl")
    paths = [tmp_path / part if part.endswith(".jsonl") else part for part in arguments]
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "avaffect", *map(str, paths)], stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert found.returncode == 1
    assert "standard output cannot be written: the disk is full" in found.stderr
    assert "Errno" not in found.stderr and "ignored" not in found.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full"),
        (OSError(errno.EDQUOT, "x"), "quota"),
        (OSError(errno.EROFS, "x"), "read-only"),
        # HDF5 and safetensors say it in words.
        (RuntimeError("unable to extend file (file write failed: errno = 28, x)"), "disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (PermissionError(errno.EACCES, "x", "/data/o.h5"), "is not writable for this user"),
        (PermissionError(errno.EACCES, "x", "/data/.o.h5.12ab.partial/o.h5"), "is not writable"),
    ],
)
def test_the_reason_is_said(error: Exception, words: str) -> None:
    with pytest.raises(WriteError, match=words) as caught, writing(Path("/data/o.h5")):
        raise error
    assert str(caught.value).startswith("/data/o.h5 cannot be written: ")


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "x", "/data/recording.wav"),
        PermissionError(errno.EACCES, "x", "/data/.hidden.wav/a"),
        OSError(errno.EIO, "x"),
        BrokenPipeError(errno.EPIPE, "x"),
        DataError("a.h5 is damaged (errno = 28)"),
        ValueError("x"),
    ],
)
def test_faults_of_what_is_read_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(Path("/data/o.h5")):
        raise error
    assert caught.value is error


def test_a_folder_that_lets_nobody_write(tmp_path: Path, monkeypatch) -> None:
    def refused(path: Path, *arguments, **options) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(WriteError, match=f"{tmp_path} is not writable for this user"):
        write_text(tmp_path / "a.txt", "x")


def test_what_goes_wrong_otherwise_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_path(tmp_path / "a.txt"):
        raise KeyError("x")
    assert not list(tmp_path.iterdir())
