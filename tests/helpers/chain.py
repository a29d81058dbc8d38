"""The whole chain on voices made from a seed, small enough to be made once for all tests."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from running import Running

from avaffect.cli.main import run
from avaffect.core.batch import Batch
from avaffect.data.batches import Bucketed

ROOT = Path(__file__).resolve().parents[2]
VOICES = ("--modality", "audio", "--speakers", 6, "--shortest", 0.5, "--longest", 0.8, "-j", 1)

# A is split by speaker; the projector, the queries and what follows see its training part.
COMMANDS: tuple[tuple[object, ...], ...] = (
    ("synth", "wav-a", "--domain", "A", "--utterances", 24, *VOICES,
     "-o", "all-a.jsonl"),
    ("synth", "wav-b", "--domain", "B", "--utterances", 40, *VOICES,
     "-o", "b.jsonl"),
    ("split", "all-a.jsonl", "--ratios", 34, 33, 33, "-o", "a.jsonl"),
    ("preprocess", "a.jsonl", "-o", "a.h5", "-j", 1),
    ("preprocess", "b.jsonl", "-o", "b.h5", "-j", 1),
    ("cluster", "a.h5", "b.h5", "-k", 20, "--initialisations", 1, "-o", "kmeans.safetensors"),
    ("extract", "a.h5", "--model", "kmeans.safetensors", "-o", "units_a.h5"),
    ("extract", "b.h5", "--model", "kmeans.safetensors", "-o", "units_b.h5"),
    ("pretrain-hubert", "a.h5", "b.h5", "--units", "units_a.h5", "--units", "units_b.h5",
     "--preset", "nano", "--steps", 6, "-o", "fav.safetensors"),
    ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--epochs", 3,
     "-o", "projector.safetensors"),
    ("extract", "a.h5", "--model", "projector.safetensors", "-o", "msp.h5"),
    ("extract", "b.h5", "--model", "projector.safetensors", "-o", "vox.h5"),
)  # fmt: skip

LINE = "avaffect retrieve --query msp.h5 --pool vox.h5 -T 0.1 | avaffect adapt"


@dataclass(frozen=True)
class Result:
    status: int
    stdout: str
    stderr: str


def invoke(cwd: Path, *arguments: object, status: int = 0, stdin: str | bytes = "") -> Result:
    """`avaffect ARGUMENTS...` in this process: its statuses and words, without its start."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    source = io.TextIOWrapper(io.BufferedReader(io.BytesIO(given)), encoding="utf-8")
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    before, terminate = Path.cwd(), signal.getsignal(signal.SIGTERM)
    original, sys.stdin = sys.stdin, source
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = run([str(argument) for argument in arguments])
    finally:
        sys.stdin = original
        os.chdir(before)
        signal.signal(signal.SIGTERM, terminate)
    out.flush()
    words = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert found == status, f"{arguments}: {found}\n{err.getvalue()}"
    return Result(found, words, err.getvalue())


def build(folder: Path) -> None:
    """Everything that the literal line needs, and the literal line's own part of it."""
    for arguments in COMMANDS:
        invoke(folder, *arguments)


def interrupt(
    process: Running, number: signal.Signals, moment: Callable[[], bool],
    delay_s: float,
) -> tuple[int, str]:  # fmt: skip
    """Wait until `moment()` and `delay_s` more, then send a signal; status and standard error.

    The status is 0 where the command was done before.
    """
    deadline = time.monotonic() + 120
    while process.poll() is None and not moment():
        assert time.monotonic() < deadline, "nothing happened for two minutes"
        time.sleep(0.002)
    time.sleep(delay_s)
    process.send_signal(number)
    return process.wait(timeout=120), process.communicate()[1]


def litter(folder: Path) -> list[str]:
    """What unfinished commands left: partial folders and states of runs."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.name.endswith((".partial", ".state"))
    )


def invoke_stopped(
    cwd: Path, *arguments: object, stops: int, monkeypatch: pytest.MonkeyPatch,
    batches: type = Bucketed,
) -> Result:  # fmt: skip
    """`invoke` a training command that is told to stop at each of its first steps, and again until
    it comes to its end. batches: what serves its batches."""
    served = batches.batch  # type: ignore[attr-defined]

    def stop(self: object, indices: np.ndarray, epoch: int) -> Batch:
        signal.raise_signal(signal.SIGTERM)
        return served(self, indices, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(batches, "batch", stop)
        for _ in range(stops):
            invoke(cwd, *arguments, status=75)
    return invoke(cwd, *arguments)


def check_stopped_and_resumed(
    cwd: Path, *arguments: object, folder: Path, stops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training command that is stopped at each of its first steps in turn writes the same file as
    one that is not."""
    whole, parts = folder / "whole.safetensors", folder / "parts.safetensors"
    invoke(cwd, *arguments, "-o", whole)
    invoke_stopped(cwd, *arguments, "-o", parts, stops=stops, monkeypatch=monkeypatch)
    assert whole.read_bytes() == parts.read_bytes()


def closed(text: str) -> str:
    """A manifest that was changed, with an end record that fits it again."""
    lines = [line for line in text.splitlines() if json.loads(line)["kind"] != "end"]
    before = "".join(f"{line}\n" for line in lines)
    digest = "sha256:" + hashlib.sha256(before.encode()).hexdigest()
    return before + json.dumps({"kind": "end", "count": len(lines) - 1, "digest": digest}) + "\n"


def annotated(folder: Path, classes: Sequence[str], name: str) -> None:
    """Write annotations of the chain's pool: its emotions are `classes` in turns."""
    items = [json.loads(line) for line in (folder / "b.jsonl").read_text("utf-8").splitlines()]
    for number, item in enumerate(item for item in items if item["kind"] == "item"):
        item["labels"] = {"emotion": classes[number % len(classes)]}
    text = "".join(json.dumps(item) + "\n" for item in items)
    (folder / name).write_text(closed(text), encoding="utf-8")
