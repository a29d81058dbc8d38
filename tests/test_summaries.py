"""The last line of a command says how many, and, of a long one, how long and where."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scored_voices
from chain import invoke

from avaffect.cli import command
from avaffect.cli.catalogue import COMMANDS
from avaffect.core.progress import MB, Progress, counted
from avaffect.data.store.verifying import verify_store
from benchmarks.nothing_to_do import CHAIN, build


@pytest.fixture(scope="module")
def folder(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored_voices.build(tmp_path_factory.mktemp("summaries"), voices)


# Of each the number in its last line.
LINES = [
    ("info a.h5 mfcc.h5", 2),
    ("check a.h5 mfcc.h5 er.safetensors", 3),
    ("explore a.jsonl", 16),
    ("eval-embeddings mean.h5", 1),
    ("compare r.json", 1),
    ("lineage er.safetensors", 5),
    ("monitor er.safetensors --once", 1),
    ("eval-class p.jsonl", 16),
    ("select a.jsonl --limit 5 -o few.jsonl", 5),
    ("merge a.h5 -o merged.h5", 16),
]


@pytest.mark.parametrize("line, count", LINES, ids=[line for line, _ in LINES])
def test_the_last_line_has_the_number(line: str, count: int, folder: Path) -> None:
    said = invoke(folder, *line.split()).stderr.splitlines()
    found = [text for text in said if "warning" not in text][-1]
    assert count in [int(number) for number in re.findall(r"(?<![\w.])\d+(?![\w.])", found)]
    quiet = invoke(folder, *line.split(), "-q").stderr.splitlines()
    assert all("warning" in text for text in quiet)


# Commands whose own tests look at what they say.
OTHERS = {"train", "doctor", "eval-ccc", "eval-rank", "extract-text", "import"}


def test_every_command_ends_with_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many, or at least which output, without the time of a long one."""
    monkeypatch.setattr(command, "LONG_S", float("inf"))
    named = {line.split()[0] for line, _ in LINES} | {arguments[0] for arguments in CHAIN}
    assert named | OTHERS == {*COMMANDS}
    for arguments, words in zip(CHAIN, build(tmp_path), strict=True):
        said = [line for line in words.splitlines() if "warning" not in line]
        output = arguments[arguments.index("-o") + 1]
        assert said and any(output in line or re.search(r"\d", line) for line in said), arguments


def test_a_long_command_says_how_long_and_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LONG_S", 0.0)
    said = invoke(folder, "select", "a.jsonl", "--limit", 4, "-o", "four.jsonl").stderr
    last = said.splitlines()[-1]
    assert re.fullmatch(r"done in \d+:\d\d: four\.jsonl, 0\.\d MB", last)
    assert re.search(r"\ndone in \d+:\d\d\n$", invoke(folder, "check", "a.h5", "mfcc.h5").stderr)
    quiet = invoke(folder, "select", "a.jsonl", "--limit", 3, "-o", "three.jsonl", "-q")
    assert quiet.stderr == ""
    # Not where it failed.
    assert "done in" not in invoke(folder, "check", "p.jsonl", "none.h5", status=65).stderr


class Noted(Progress):
    """Tasks with their totals, and what was counted in each."""

    def __init__(self) -> None:
        self.tasks: list[list[float]] = []

    def start(self, what: str, total: float | None = None, unit: str = "", done: float = 0) -> None:
        assert unit == "MB" and total is not None
        self.tasks.append([total, 0.0])

    def advance(self, count: float = 1, **facts: object) -> None:
        self.tasks[-1][1] += count


def test_bytes_are_counted_while_a_store_is_checked(folder: Path) -> None:
    noted = Noted()
    store = verify_store(folder / "a.h5", noted)
    ((total, counted_mb),) = noted.tasks
    assert total == (folder / "a.h5").stat().st_size / MB
    assert counted_mb == pytest.approx(2 * store.offsets("waveform")[-1] / MB)


def test_counted_gives_the_same_arrays() -> None:
    noted = Noted()
    noted.start("x", 1.0, "MB")
    arrays = [np.zeros(1000, np.int16), np.ones((10, 10), np.float32)]
    assert all(a is b for a, b in zip(arrays, counted(arrays, noted), strict=True))
    assert noted.tasks == [[1.0, pytest.approx(2400 / MB)]]
