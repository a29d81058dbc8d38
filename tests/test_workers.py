"""Commands with worker processes: however they end, no process is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from sessions import left_after, members, start

from avaffect.core import errors
from avaffect.data import workers

FEW = ("synth", "B", "--domain", "B", "--utterances", 200, "--speakers", 4, "-j", 2,
       "-o", "b.jsonl")  # fmt: skip
STATUSES = {
    signal.SIGKILL: -signal.SIGKILL,
    signal.SIGTERM: errors.PREEMPTED,
    signal.SIGHUP: errors.PREEMPTED,
    signal.SIGINT: errors.INTERRUPTED,
}


@pytest.mark.parametrize("number", STATUSES)
def test_synth_leaves_no_process(tmp_path: Path, number: int) -> None:
    process = start(tmp_path, *FEW)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob("B/video/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    assert len(members(process.pid)) > 2
    process.send_signal(number)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == STATUSES[number] and "Traceback" not in words, words
    assert left_after(process.pid, 10) == set()
    assert not (tmp_path / "b.jsonl").exists()


def test_processes_without_their_manager_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends where memory lacks: at its own end, this process would wait for them."""
    crew = workers._Crew(2)
    pids = {crew.result(os.getpid) for _ in range(2)}
    assert pids and all(Path(f"/proc/{pid}").exists() for pid in pids)
    monkeypatch.setattr(workers._Crew, "_is_managed", lambda self: False)
    crew.end()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
