"""Progress: tasks within tasks, a bar that leaves room for its figures, lines in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain import ROOT, invoke
from tiny_training import Rows, Tiny

from avaffect.cli import command, console
from avaffect.cli.bar import Task, bar_line, log_line
from avaffect.cli.console import ConsoleProgress
from avaffect.core import progress as core
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.settings.training import TrainingSettings
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Run

FACTS = {"masked": 3.14159, "accuracy": 0.25, "features_penalty": 12345.678, "learning_rate": 1e-5}


class Recorded(Progress):
    """Every task with what it was advanced by."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.tasks: list[list] = []

    def start(self, what, total=None, unit="utterances", done=0) -> None:
        self.open.append(len(self.tasks))
        self.tasks.append([what, total, unit, done])

    def advance(self, count=1, **facts) -> None:
        self.tasks[self.open[-1]][3] += count

    def finish(self) -> None:
        self.open.pop()


def _line(task: Task, seconds: float = 100.0, width: int = 79, **options) -> str:
    return bar_line(task, task.began + seconds, width, **options)


@pytest.mark.parametrize("width", [20, 39, 59, 79, 119])
@pytest.mark.parametrize("what", ["preprocess", "training run 3 fold 12", "x" * 200])
@pytest.mark.parametrize("total", [None, 7, 50, 123456789])
def test_a_bar_fits_its_terminal(width: int, what: str, total: int | None) -> None:
    for done in (0, 3, 6.25):
        task = Task(what, total, "epochs", done, facts=FACTS)
        for utf8 in (True, False):
            assert len(_line(task, width=width, utf8=utf8)) <= width


def test_figures_have_room_at_80_columns() -> None:
    task = Task("training run 3 fold 12", 50, "epochs", 12.5, 10.0, facts=FACTS)
    line = _line(task)
    for word in ("25%", "12.5/50 epochs", "40.0 s/epoch", "25:00 left", "training run 3"):
        assert word in line, line
    assert re.search(r"\|.{6,}\|", line)
    # With more room, the facts; without, they are left out from the end.
    assert "masked=3.142" in _line(task, width=140)
    fast = Task("preprocess", 75000, "utterances", 25000, facts={"lost": 3})
    line = _line(fast, width=100)
    for word in ("33%", "25000/75000 utterances", "250/s", "3:20 left", "lost=3"):
        assert word in line, line


def test_work_that_was_resumed_is_not_counted_as_fast() -> None:
    task = Task("training", 100, "steps", 55, 50)
    assert "20.0 s/step" in _line(task) and "15:00 left" in _line(task)


def test_a_line_of_a_log_names_the_task_within() -> None:
    outer = Task("training", 50, "epochs", 12.5, facts=FACTS)
    inner = Task("features", 80, "utterances", 40, began=outer.began)
    line = log_line([outer, inner], outer.began + 100)
    assert "training: 12.5/50 epochs, 8.0 s/epoch, 5:00 left masked=3.142" in line
    assert line.endswith("; features: 40/80 utterances, 2.5 s/utterance, 1:40 left")


def test_the_task_around_comes_back(capsys, monkeypatch) -> None:
    monkeypatch.setattr(console, "LOG_INTERVAL_S", 0.0)
    progress = ConsoleProgress()
    # Without a task nothing is counted.
    progress.advance(34)
    with progress.task("training", 3, "epochs"):
        progress.advance(1)
        with progress.task("features", 40):
            progress.advance(34)
        progress.advance(1)
    progress.advance(34)
    lines = [re.sub(r",.*", "", line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1] == "training: 2/3 epochs"
    assert not any("34/3" in line for line in lines)
    progress.start("left open")
    progress.close()
    assert progress._tasks == []


def test_a_log_has_a_line_at_intervals(capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    progress = ConsoleProgress()
    progress.start("extract", 1000)
    for _ in range(100):
        now[0] += 1.0
        progress.advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "extract: 300/1000 utterances", "extract: 600/1000 utterances",
        "extract: 900/1000 utterances",
    ]  # fmt: skip
    quiet = ConsoleProgress(quiet=True)
    quiet.start("extract", 1000)
    now[0] += 100.0
    quiet.advance(10)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 11}])
def test_training_advances_within_an_epoch(length: dict) -> None:
    progress = Recorded()
    seen = []

    def evaluate(objective: Tiny, kept: object) -> dict[str, float]:
        seen.append(progress.tasks[0][3])
        with progress.task("scores", 5):
            progress.advance(5)
        return {}

    train(
        Tiny(), Rows(), TrainingSettings(**length), Run(seed=0, evaluate=evaluate),
        make_fabric("cpu", "32"), progress,
    )  # fmt: skip
    what, total, unit, done = progress.tasks[0]
    assert (what, unit) == ("training", next(iter(length)))
    assert done == pytest.approx(total) and not progress.open
    assert all(task[3] == 5 for task in progress.tasks[1:])
    if unit == "epochs":
        assert seen == pytest.approx([1, 2, 3])


PROGRAM = """
import sys, time
from avaffect.cli import command, console
from avaffect.cli.console import ConsoleProgress
console.REDRAW_S = console.LOG_INTERVAL_S = 0.0
progress = ConsoleProgress(quiet=sys.argv[1] == "-q")
with progress.task("training run 1 fold 2", 50, "epochs"):
    progress.advance(0.5, masked=2.5)
    progress.say("a word")
    with progress.task("scores", 40):
        progress.advance(20)
    progress.advance(12.0, masked=1.5, learning_rate=0.001)
print("done")
"""


def _on_terminal(columns: int, option: str = "", **environment: str) -> str:
    """What a terminal of so many columns is sent."""
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, option], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8",
             **environment},
    )  # fmt: skip
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode()


@pytest.mark.parametrize("columns", [80, 40])
def test_on_a_terminal(columns: int) -> None:
    text = _on_terminal(columns)
    drawn = [part.replace("\x1b[K", "") for part in re.split(r"[\r\n]+", text)]
    assert max(map(len, drawn)) < columns
    assert "a word" in drawn and "done" in drawn
    assert any("20/40 utterances" in line for line in drawn)
    assert any("12.5/50 epochs" in line and "left" in line for line in drawn)
    # Nothing is left of the bar, and it has no colour.
    assert text.rstrip().endswith("\x1b[Kdone") and "\x1b[3" not in text


def test_terminals_that_draw_no_bar(tmp_path: Path) -> None:
    dumb = _on_terminal(80, TERM="dumb")
    assert "\x1b" not in dumb and "training run 1 fold 2: 12.5/50 epochs" in dumb
    assert "\x1b" not in _on_terminal(80, "-q") and "█" in _on_terminal(80, NO_COLOR="1")


def test_a_long_loop_finds_the_progress_of_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(core.time, "monotonic", lambda: now[0])

    def slow(count: int, seconds: float) -> Iterator[str]:
        for number in range(count):
            yield "x" * number
            now[0] += seconds

    progress = Recorded()
    assert list(core.followed(slow(100, 1.0), "silent", 100)) == ["x" * n for n in range(100)]
    with core.of_command(progress):
        assert len(list(core.followed(slow(100, 0.001), "short", 100))) == 100
        assert progress.tasks == []
        assert len(list(core.followed(slow(20, 0.2), "long", 190.0, "signs", len))) == 20
        with pytest.raises(ZeroDivisionError):
            for text in core.followed(slow(20, 0.2), "fails", 20):
                1 / (15 - len(text))
    (long, fails) = progress.tasks
    # All but what came after the last look.
    assert long[:3] == ["long", 190.0, "signs"] and 170 <= long[3] <= 190
    assert fails[0] == "fails" and fails[3] == 15 and progress.open == []
    assert list(core.followed(slow(100, 1.0), "after", 100)) and len(progress.tasks) == 2


def test_commands_that_read_and_write_large_manifests_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = manifest.new_header("corpus", base=".", corpus="x", labels={}, provenance={})
    path = tmp_path / "m.jsonl"
    manifest.write(path, header, [{"id": f"u{n}", "media": "x.wav"} for n in range(50)])
    monkeypatch.setattr(core, "PATIENCE_S", 0.0)
    monkeypatch.setattr(core, "EVERY_S", 0.0)
    seen = Recorded()
    with core.of_command(seen):
        found = manifest.read(path)
        assert found.content_id
        manifest.write(tmp_path / "n.jsonl", header, found.items)
    assert [(unit, total) for _, total, unit, _ in seen.tasks] == [
        ("MB", path.stat().st_size / core.MB), ("items", 50), ("items", 50),
    ]  # fmt: skip
    assert [done for *_, done in seen.tasks] == pytest.approx(
        [path.stat().st_size / core.MB, 50, 50], rel=0.1
    )
    # And a command has its progress for all that it calls.
    monkeypatch.setattr(command, "ConsoleProgress", lambda *_: seen)
    monkeypatch.setattr(seen, "close", lambda: None, raising=False)
    seen.tasks.clear()
    invoke(tmp_path, "select", "m.jsonl", "--limit", 40, "-o", "few.jsonl")
    assert {task[2] for task in seen.tasks} >= {"MB", "items"}


def test_an_unchanged_manifest_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "SETTLED_S", 0.0)
    header = manifest.new_header("corpus", base=".", corpus="x", labels={}, provenance={})
    path = tmp_path / "m.jsonl"
    manifest.write(path, header, [{"id": "a", "media": "x.wav"}])
    read: list[Path] = []
    of_manifest = manifest.read
    monkeypatch.setattr(manifest, "read", lambda p, *more: read.append(p) or of_manifest(p, *more))
    first = artifacts.describe(path)
    assert artifacts.describe(path, "corpus") == first and read == [path]
    with pytest.raises(DataError):
        artifacts.describe(path, "predictions")
    manifest.write(path, header, [{"id": "b", "media": "x.wav"}])
    assert artifacts.describe(path).content_id != first.content_id
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError):
        artifacts.describe(path)
