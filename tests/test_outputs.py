"""What outputs are called, what commands expect from a terminal, and where recordings lie."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chain import invoke

from avaffect.cli.catalogue import COMMANDS
from avaffect.cli.main import group
from avaffect.core.errors import UsageError
from avaffect.core.provenance import reference
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common import source_recordings
from avaffect.settings.outputs import check_suffix

ROOT = Path(__file__).resolve().parent.parent
# These ask themselves: what they write depends on what they read, or is a picture.
OWN_CHECK = (
    "predict", "merge", "gallery", "info", "lineage", "check", "doctor", "export", "monitor",
    "train", "report",
)  # fmt: skip


def test_every_command_knows_what_it_writes() -> None:
    assert sorted(name for name in COMMANDS if COMMANDS[name].writes is None) == sorted(OWN_CHECK)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("manifest table t.csv --media path -o m.csv", "m.jsonl"),
        ("retrieve --query a.h5 --pool b.h5 -o r.h5", "r.jsonl"),
        ("preprocess m.jsonl -o media.jsonl", "media.h5"),
        ("extract a.h5 --model mfcc -o features.csv", "features.h5"),
        ("cluster a.h5 -o kmeans.pt", "kmeans.safetensors"),
        ("pretrain-apc a.h5 -o apc.h5", "apc.safetensors"),
        ("finetune a.h5 -o er.PKL", "er.safetensors"),
        ("eval-class p.jsonl -o scores.csv", "scores.json, or redirect the table"),
        ("manifest table t.csv --media path -o m.jsonl.gz", "m.jsonl"),
        ("preprocess m.jsonl -o media.2.zip", "media.2.h5"),
    ],
)
def test_a_name_that_promises_another_format(line: str, name: str, tmp_path: Path) -> None:
    said = invoke(tmp_path, *line.split(), status=2).stderr
    output = line.split()[-1]
    assert said.startswith(f"avaffect: -o {output}: ")
    assert f"is written; name it {name}" in said and f"name it {name}." not in said
    assert list(tmp_path.iterdir()) == []


def test_other_names_are_free() -> None:
    for name in ("out", "part.0", "a.h5", "a.HDF5", "a.store", None):
        check_suffix(name and Path(name), "store")
    with pytest.raises(UsageError):
        check_suffix(Path("a.safetensors"), "store")


def test_merge_knows_by_what_it_joins(tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus"), [])
    said = invoke(tmp_path, "merge", "m.jsonl", "-o", "all.h5", status=2).stderr
    assert "a manifest (JSON Lines) is written; name it all.jsonl" in said


def _reading_commands() -> list[str]:
    default = Path("-")
    return [
        name
        for name in COMMANDS
        for parameter in group.get_command(None, name).params  # type: ignore[arg-type, union-attr]
        if parameter.param_type_name == "argument" and parameter.default in (default, (default,))
    ]


def test_all_that_read_standard_input_say_what() -> None:
    for name in _reading_commands():
        assert COMMANDS[name].reads is not None, name


@pytest.mark.parametrize("name", ["adapt", "eval-ccc"])
def test_alone_on_a_terminal(name: str, tmp_path: Path) -> None:
    """One sentence, then help, instead of waiting for somebody to type a manifest."""
    reads = COMMANDS[name].reads
    assert reads is not None
    ours, theirs = pty.openpty()
    options = ["-", "--gold", "g.h5"] if name == "eval-ccc" else []
    run = subprocess.run(
        [sys.executable, "-m", "avaffect", name, *options],
        stdin=theirs, capture_output=True, text=True, cwd=tmp_path, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 2 and run.stdout == ""
    first, blank, usage = run.stderr.splitlines()[:3]
    assert first.startswith(f"avaffect {name} reads {reads.content} from standard input")
    assert reads.line.format(name) in first
    assert blank == "" and usage.startswith(f"Usage: avaffect {name}")


def _embeddings(path: Path, count: int = 6) -> Path:
    random = np.random.default_rng(count)
    pooled = {"embedding": PooledSpec(4, {"model": {"content_id": "sha256:0"}})}
    with store_writer(path, {}, pooled=pooled) as writer:
        for row in range(count):
            writer.add(f"u{row}", pooled={"embedding": random.standard_normal(4)})
    return path


def test_a_store_that_retrieves_itself(tmp_path: Path) -> None:
    """Known by its content, under any name."""
    _embeddings(tmp_path / "a.h5")
    (tmp_path / "copy.h5").write_bytes((tmp_path / "a.h5").read_bytes())
    _embeddings(tmp_path / "b.h5", 7)
    for pool, same in (("a.h5", True), ("copy.h5", True), ("b.h5", False)):
        line = ("similarity", "--query", "a.h5", "--pool", pool, "-n", "-o", "s.h5")
        said = invoke(tmp_path, *line).stderr
        assert (f"a.h5 is a query store, and {pool} of the pool holds the same" in said) is same


def _media(path: Path, folder: Path, names: list[str]) -> Store:
    """A store as `preprocess` makes it of recordings in a folder."""
    record = {"inputs": [reference("recordings", folder, "sha256:0", path)]}
    streams = {"waveform": StreamSpec("waveform", "int16", 16000.0)}
    with store_writer(path, record, streams=streams) as writer:
        for name in names:
            writer.add(f"{path.stem}-{name}", meta={"source": name})
    return Store(path)


def _derived(path: Path, role: str, *parents: Store) -> Store:
    inputs = [reference(role, parent.path, parent.content_id, path) for parent in parents]
    with store_writer(path, {"inputs": inputs}, streams={}) as writer:
        for parent in parents:
            for identifier, source in zip(parent.ids, parent.meta["source"]):
                writer.add(identifier, meta={"source": source})
    return Store(path)


def test_where_recordings_lie(tmp_path: Path) -> None:
    """Through any number of stores, relative to one folder; not known, where it cannot be."""
    one, other = tmp_path / "corpora" / "one", tmp_path / "corpora" / "other"
    for folder in (one, other, tmp_path / "deep"):
        folder.mkdir(parents=True)
    first = _media(tmp_path / "first.h5", one, ["a.wav", "sub/b.wav"])
    second = _media(tmp_path / "second.h5", other, ["c.wav", ""])
    features = _derived(tmp_path / "deep" / "f.h5", "media", first)
    base, paths = source_recordings.paths_of([features, second])
    assert base == one
    assert paths == [["a.wav", "sub/b.wav"], ["../other/c.wav", None]]
    shards = _derived(tmp_path / "shards.h5", "store", first)
    assert source_recordings.folder_of(_derived(tmp_path / "e.h5", "media", shards)) == one
    # Of two folders nobody knows which one an utterance is from.
    both = _derived(tmp_path / "both.h5", "store", first, second)
    assert source_recordings.paths_of([both]) == (None, [["a.wav", "sub/b.wav", "c.wav", None]])
    first.path.unlink()
    assert source_recordings.folder_of(features) is None


def test_hints_to_install_work_from_a_checkout() -> None:
    """The package is on no index, and extras are those that the project has."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) = \[", text.split("[project.optional-dependencies]")[1], re.M)
    files = [*ROOT.glob("avaffect/**/*.py"), *ROOT.glob("man/*"), ROOT / "README.md"]
    hints = [
        hint
        for file in files
        for hint in re.findall(r"pip install ([^\n]*\n?[^\n]*)", file.read_text(encoding="utf-8"))
    ]
    assert len(hints) >= 5
    for hint in hints:
        words = hint.replace("\\", "").replace('"', "")
        assert "avaffect[" not in words, hint
        (name,) = re.findall(r"-e '\.\[(\w+)\]'", words) or ["torch"]
        assert name in (*extras, "torch"), hint
