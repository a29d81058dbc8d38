"""Inputs that are replaced between the taking of their content ids and their reading."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from chain import closed, invoke
from published import to_torchaudio
from pyarrow import parquet

from avaffect.cli.main import run
from avaffect.core import atomic, errors, unchanged
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.models.hubert import PRESETS, Hubert
from avaffect.training import checkpoint
from avaffect.training.state import METRICS_SUFFIX
from benchmarks import nothing_to_do
from benchmarks.nothing_to_do import CHAIN

# Inputs that no command of the chain has.
MORE = (
    ("import-features", "features.csv", "--annotations", "few.jsonl", "-o", "imported.h5"),
    ("finetune", "mfcc.h5", "--annotations", "c.jsonl", "--steps", "1", "--select", "none",
     "-o", "er.safetensors"),
    ("finetune", "a.h5", "--encoder", "hubert.safetensors", "--steps", "1", "--select", "none",
     "-o", "er.safetensors"),
    ("predict", "mfcc.h5", "--model", "er.safetensors", "--annotations", "c.jsonl",
     "-o", "p.jsonl"),
    ("retrieve", "--query", "e.h5", "--pool", "e.h5", "--draws", "2", "--similarity", "s.h5",
     "--annotations", "c.jsonl", "-o", "r.jsonl"),
    ("train-projector", "a.h5", "--encoder", "hubert.safetensors", "--annotations", "c.jsonl",
     "--steps", "1", "-o", "projector.safetensors"),
    ("pretrain-hubert", "a.h5", "--units", "units.h5", "--init", "hubert.safetensors",
     "--only", "few.jsonl", "--steps", "1", "-o", "hubert.safetensors"),
    ("eval-class", "p.jsonl", "--gold", "c.jsonl", "-o", "scores.json"),
    ("eval-class", "theirs.csv", "--gold", "gold.csv", "-o", "scores.json"),
    ("compare", "scores.json", "of_theirs.json", "-o", "compared.json"),
    ("import-features", "vectors", "--rate", "50", "-o", "imported.h5"),
    ("import-features", "features.parquet", "-o", "imported.h5"),
    ("import", "weights.pt", "-o", "imported.safetensors"),
)  # fmt: skip


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    nothing_to_do.build(folder)
    (folder / "theirs.csv").write_text("file,predicted\na.wav,joy\nb.wav,anger\n")
    (folder / "gold.csv").write_text("file,emotion\na.wav,joy\nb.wav,joy\n")
    (folder / "vectors").mkdir()
    for name in "ab":
        np.save(folder / "vectors" / f"{name}.npy", np.full((3, 2), ord(name), np.float32))
    rows = {"id": ["a", "a", "b"], "time": [0.0, 0.02, 0.0], "x": [1.0, 2.0, 3.0]}
    parquet.write_table(pyarrow.table(rows), folder / "features.parquet")
    torch.save(to_torchaudio(Hubert(PRESETS["tiny"]).state_dict()), folder / "weights.pt")
    invoke(folder, "eval-class", "theirs.csv", "--gold", "gold.csv", "-o", "of_theirs.json")
    return folder


@pytest.mark.parametrize("command", (*CHAIN, *MORE), ids=" ".join)
def test_what_is_read_is_what_was_recorded(
    chain: Path, command: tuple[str, ...], monkeypatch
) -> None:
    """Each input in turn becomes another good file as soon as its content id is taken: the command
    refuses it, or makes what it makes undisturbed."""
    place = command.index("-o") + 1
    output = chain / f"out{Path(command[place]).suffix}"
    arguments = [*command[:place], output.name, *command[place + 1 :]]
    monkeypatch.chdir(chain)
    _clear(chain)
    taken = _taken_by(arguments, monkeypatch)
    whole, refused = output.read_bytes(), []
    for path in sorted(taken):
        _clear(chain)
        kept = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(unchanged, "take", _replacing(path))
            try:
                status, words = _run(arguments)
            finally:
                path.write_bytes(kept)
        if status:
            assert status == errors.BAD_DATA and path.name in words and not output.exists()
            refused.append(path)
        else:
            assert output.read_bytes() == whole, path
    assert refused or command not in MORE


def _run(arguments: list[str]) -> tuple[int, str]:
    words = io.StringIO()
    with contextlib.redirect_stderr(words):
        return run(arguments), words.getvalue()


def _clear(chain: Path) -> None:
    for made in chain.glob("out*"):
        shutil.rmtree(made) if made.is_dir() else made.unlink()


def _taken_by(arguments: list[str], monkeypatch) -> set[Path]:
    """The files whose content ids a command takes."""
    taken, take = set(), unchanged.take

    def recorded(path: Path, compute: Callable[[], str]) -> str:
        # Histories grow while they are shown.
        if not path.name.endswith(METRICS_SUFFIX):
            taken.add(path.absolute())
        return take(path, compute)

    with monkeypatch.context() as patch:
        patch.setattr(unchanged, "take", recorded)
        status, words = _run(arguments)
    assert status == 0, words
    return taken


def _replacing(replaced: Path) -> Callable[[Path, Callable[[], str]], str]:
    """`take` that lets another file take the place of one, once."""
    take, other = unchanged.take, _other(replaced)

    def taking(path: Path, compute: Callable[[], str]) -> str:
        found = take(path, compute)
        if path.absolute() == replaced and replaced.read_bytes() != other:
            new = replaced.with_name("new")
            new.write_bytes(other)
            new.replace(replaced)
        return found

    return taking


def _other(path: Path) -> bytes:
    """A file of the same kind with other content."""
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        beside = path.with_name("other.safetensors")
        header, tensors = checkpoint.load(path)
        facts = {k: v for k, v in header.items() if k not in ("kind", "content_id", "digest")}
        changed = {n: t + 1 if t.is_floating_point() else t for n, t in tensors.items()}
        checkpoint.save(beside, header["kind"], changed, **facts)
        return beside.read_bytes()
    if path.suffix == ".pt":
        tensors = torch.load(path, weights_only=True)
        torch.save(
            {name: tensor + 1 for name, tensor in tensors.items()}, path.with_name("other.pt")
        )
        return path.with_name("other.pt").read_bytes()
    if path.suffix == ".npy":
        # The last number is in the last bytes.
        return content[:-4] + np.float32(1).tobytes()
    if path.suffix == ".parquet":
        other = parquet.read_table(path).slice(0, 2)
        parquet.write_table(other, path.with_name("other.parquet"))
        return path.with_name("other.parquet").read_bytes()
    if path.suffix == ".jsonl":
        lines = content.decode().splitlines(keepends=True)
        return closed("".join([*lines[:-2], lines[-1]])).encode()
    if path.suffix == ".h5":
        return path.with_name("noisy.h5").read_bytes()
    # Its last row is missing.
    return content[: content.rstrip().rfind(b"\n") + 1]


def test_a_file_is_the_same_until_its_content_changes(tmp_path: Path) -> None:
    path, counted = tmp_path / "a", []

    def compute() -> str:
        counted.append(path)
        # Readers, which compute content ids, check.
        unchanged.check(path)
        return path.read_text()

    path.write_text("one")
    with unchanged.of_command():
        assert [unchanged.take(path, compute) for _ in range(3)] == ["one"] * 3
        unchanged.check(path)
        assert len(counted) == 1
        os.utime(path, (1, 1))
        unchanged.check(path)
        unchanged.check(path)
        assert len(counted) == 2
        path.write_text("two")
        for _ in range(2):
            with pytest.raises(DataError, match="replaced"):
                unchanged.check(path)
    unchanged.check(path)


def test_what_a_command_writes_itself_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic.write_text(path, "one")
    with unchanged.of_command():
        before = file_content_id(path)
        atomic.write_text(path, "two")
        unchanged.check(path)
        assert file_content_id(path) != before


def test_a_file_that_is_gone_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    with unchanged.of_command():
        file_content_id(path)
        path.unlink()
        with pytest.raises(DataError, match="replaced"):
            unchanged.check(path)
