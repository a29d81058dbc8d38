"""`make faults`: its damages, its forks and its judgement, and all of it with few tries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.faults import commands, damaged_files, damaged_states, killed, signalled, trying
from benchmarks.faults.damages import KINDS as OF_DAMAGE
from benchmarks.faults.damages import damages
from benchmarks.faults.kinds import KINDS
from benchmarks.faults.reading import judged
from benchmarks.faults.table import Line, show
from benchmarks.nothing_to_do import CHAIN

ROOT = Path(__file__).resolve().parent.parent
CONTENT = bytes(range(256)) * 2 + bytes(500)


def test_damages_are_of_all_kinds_and_places() -> None:
    header = [range(10), range(500, 512)]
    found = list(damages(CONTENT, header, 160, 3))
    assert found == list(damages(CONTENT, header, 160, 3)) != list(damages(CONTENT, header, 160, 4))
    assert all(damage.content != CONTENT for damage in found)
    inside = Counter(
        (damage.kind, any(damage.position in part for part in header)) for damage in found
    )
    assert inside == {(kind, place): 20 for kind in OF_DAMAGE for place in (True, False)}
    for damage in found:
        place, kind = damage.position, damage.kind
        assert damage.content[:place] == CONTENT[:place]
        assert len(damage.content) == (place if kind == "cut short" else len(CONTENT))
        if kind == "flipped bit":
            assert (damage.content[place] ^ CONTENT[place]).bit_count() == 1
        if kind == "swapped bytes":
            assert damage.content[place : place + 2] == CONTENT[place : place + 2][::-1]


def test_a_fork_that_dies_is_a_result() -> None:
    def attempt(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert list(trying.each(4, attempt)) == [(0, 0), (1, {"died": -9}), (2, 2), (3, 3)]


def test_a_fork_that_hangs_or_takes_all_memory_is_a_result(monkeypatch) -> None:
    monkeypatch.setattr(trying, "LIMIT_S", 0.3)
    monkeypatch.setattr(trying, "LIMIT_OF_CLOCK_S", 2)
    monkeypatch.setattr(trying, "MORE_BYTES", 1 << 28)

    def attempt(number: int) -> None:
        if number == 0:
            time.sleep(60)
        while number == 1:
            pass
        # More than memory that this process has freed and kept.
        bytearray(1 << 40)

    found = [result for _, result in trying.each(3, attempt)]
    assert found == [{"died": -signal.SIGALRM}, {"died": -signal.SIGPROF}, {"died": 1}]


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"status": 65, "err": "avaffect: a.h5 is damaged"}, None),
        ({"status": 65, "err": "avaffect: it is damaged"}, "unnamed"),
        ({"status": 0, "err": "", "same": True}, None),
        ({"status": 0, "err": "", "same": False}, "silent"),
        ({"status": 1, "err": "avaffect: unexpected KeyError: 3"}, "unexpected"),
        ({"status": 73, "err": "a.h5 exists"}, "status 73"),
        ({"died": -11}, "died (-11)"),
    ],
)
def test_what_went_wrong(found: dict, wrong: str | None) -> None:
    assert judged(found, "a.h5") == wrong


def test_the_table(capsys: pytest.CaptureFixture) -> None:
    line = Line("kill", note="slow")
    for wrong in (None, "silent", "silent", "status 1", None):
        line.add(wrong, f"example of {wrong}")
    assert (line.tries, line.survived) == (5, 2)
    show([line, Line("none")], examples=True)
    out = capsys.readouterr().out
    rows = [row.split() for row in out.splitlines()[:3]]
    assert rows[1] == ["kill", "5", "2", *["2", "silent,", "1", "status", "1;", "slow"]]
    assert rows[2] == ["none", "0", "0", "nothing"]
    assert "example of silent" in out and "example of None" not in out


def test_each_kind_is_tried_as_often_as_is_promised() -> None:
    assert min(damaged_files.POSITIONS, damaged_states.POSITIONS) >= 200
    assert {"store", "manifest", "checkpoint"} < set(damaged_files.READERS)
    for kind, files in damaged_files.READERS.items():
        checked = [damaged_files.CHECK in readers for readers in files.values()]
        assert all(checked) or kind == damaged_files.OTHER


def test_kills_and_signals_are_as_many_as_is_promised() -> None:
    assert killed.KILLS * len(commands.COMMANDS) >= 100 and signalled.SIGNALS >= 50
    names = {command.name for command in commands.COMMANDS}
    assert names == {arguments[0] for arguments in CHAIN} | {
        "eval-embeddings", "compare", "monitor", "train",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("made", "others", "status", "wrong"),
    [
        ({"out.h5": b"whole"}, b"a", 0, None),
        ({}, b"a", -9, None),
        ({"out.h5.state/lock": b"1", ".out.h5.1.partial/x": b"2"}, b"a", 75, None),
        ({}, b"a", 0, "success without an output"),
        ({"out.h5": b"half"}, b"a", -9, "another output"),
        ({"out.h5": b"whole"}, b"b", 0, "other files changed"),
    ],
)
def test_what_a_disturbed_command_left(
    tmp_path: Path, monkeypatch, made: dict, others: bytes, status: int, wrong: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"out.h5": b"whole", "in.h5": b"a"}.items():
        Path(name).write_bytes(content)
    whole = commands.Whole(commands.digests(own=True), 1.0, commands.digests(own=False))
    commands.clear()
    for name, content in {**made, "in.h5": others}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    command = commands.Command(("extract", "in.h5", "-o", "out.h5"))
    assert commands.wrong_now(command, whole, status) == wrong
    commands.clear()
    assert [path.name for path in Path().iterdir()] == ["in.h5"]


# Two of them side by side, as `make faults` tries them.
TOGETHER = ("closed_descriptors", "two_writers")
TRIED = [TOGETHER, *((kind,) for kind in KINDS if kind not in TOGETHER)]


@pytest.mark.slow
@pytest.mark.parametrize("kinds", TRIED, ids="+".join)
def test_few_of_all_are_survived(kinds: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--quick", "--examples", *kinds], cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("fault ") and done.stdout.count("\n") > 1
