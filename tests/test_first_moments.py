"""Signals in the first and last moments of a command: it ends with their status, whatever it was
doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avaffect.cli import interruption
from avaffect.core import errors

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP"])
def test_a_signal_in_the_first_moment(tmp_path: Path, name: str) -> None:
    """As soon as Python runs ours, before click is imported: the status to be requeued with."""
    number = getattr(signal, name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "avaffect", "info", "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None and not _caught(status.read_text()) >> (number - 1) & 1:
        pass
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    # Where the process was faster than this test, the help is whole.
    assert process.returncode == 75 or (process.returncode == 0 and "Usage" in out)


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3, 1.0])
def test_signals_without_end(tmp_path: Path, wait: float) -> None:
    """From the first moment and later: nothing that ends the work is interrupted by another."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "avaffect", "split", "-", "--folds", "3"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=environment, text=True,
        # Where the tests themselves run under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as process:  # fmt: skip
        status = Path(f"/proc/{process.pid}/status")
        # The last of those that are handled.
        while not _caught(status.read_text()) >> (signal.SIGHUP - 1) & 1:
            assert process.poll() is None, process.stderr.read()
        time.sleep(wait)
        while process.poll() is None:
            for number in (signal.SIGUSR1, signal.SIGTERM):
                process.send_signal(number)
                time.sleep(0.001)
        assert process.returncode == 75
        assert "Traceback" not in process.stderr.read()


def _caught(status: str) -> int:
    """The signals that a process handles, a bit each."""
    return next(int(line[7:], 16) for line in status.splitlines() if line.startswith("SigCgt"))


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    code = "import signal, sys; from avaffect.cli import interruption; interruption.install(); "
    code += "signal.raise_signal(signal.SIGHUP); interruption.finish(); "
    # Once the work is done, its status stands.
    code += "signal.raise_signal(signal.SIGTERM); sys.exit(3)"
    done = subprocess.run(
        ["nohup", sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr


@pytest.mark.parametrize(("number", "status"), [("SIGUSR1", 75), ("SIGTERM", 75), ("SIGINT", 130)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_in_a_finaliser(number: str, status: int, times: int) -> None:
    """Where Python suppresses exceptions, and reports them."""
    done = _stopped(f"""
class Last:
    def __del__(self):
        signal.raise_signal(signal.{number})
def stop(*_, **__):
    for _ in range({times}):
        Last()
    time.sleep(30)
main.group.main = stop
""")
    assert done.returncode == status and "ignored" not in done.stderr, done.stderr


@pytest.mark.parametrize(("number", "status"), [("SIGUSR1", 75), ("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_while_another_is_sent_again(number: str, status: int) -> None:
    """In Python's hook for suppressed exceptions, which has none of its own."""
    done = _stopped(f"""
class Last:
    def __del__(self):
        signal.raise_signal(signal.{number})
def start(thread):
    signal.raise_signal(signal.{number})
    begin(thread)
def stop(*_, **__):
    Last()
    time.sleep(30)
begin, threading.Thread.start = threading.Thread.start, start
main.group.main = stop
""")
    assert done.returncode == status and "ignored" not in done.stderr, done.stderr


def test_a_signal_that_a_library_suppresses_does_not_make_deaf() -> None:
    done = _stopped("""
def stop(*_, **__):
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGTERM)
    # As long as one is there, others do not interrupt what it ends.
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.raise_signal(signal.SIGUSR2)
        print("tidied")
main.group.main = stop
""")
    assert (done.returncode, done.stdout) == (75, "tidied\n"), done.stderr


class _Raises:
    """Of an attribute, while its class is made."""

    def __init__(self, stop: BaseException) -> None:
        self._stop = stop

    def __set_name__(self, owner: type, name: str) -> None:
        raise self._stop


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (interruption.Terminated(signal.SIGTERM), errors.PREEMPTED),
        (KeyboardInterrupt(), errors.INTERRUPTED),
        (OSError(), None),
    ],
)
def test_a_signal_while_a_class_is_made(stop: BaseException, status: int | None) -> None:
    """Of which Python before 3.12 makes a RuntimeError."""
    with pytest.raises(BaseException) as found:
        type("Made", (), {"attribute": _Raises(stop)})
    assert interruption.status_of(found.value) == status


@pytest.mark.parametrize(
    ("place", "hides"),
    [
        ("interruption.install", False),
        ("descriptors.open_missing", False),
        ("main.run", False),
        # Within `run`, an import.
        ("main.group.main", True),
    ],
)
@pytest.mark.parametrize(("number", "status"), [("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_signal_at_any_place_of_the_start(
    place: str, hides: bool, number: str, status: int
) -> None:
    done = _stopped(f"""
def stop(*_, **__):
    try:
        signal.raise_signal(signal.{number})
    except BaseException as stopped:
        if {hides}:
            raise RuntimeError from stopped
        raise
{place} = stop
""")
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr


def _stopped(change: str) -> subprocess.CompletedProcess[str]:
    """`avaffect info`, after the lines of `change`."""
    code = f"""
import contextlib, signal, sys, threading, time
from avaffect.__main__ import main as enter
from avaffect.cli import interruption, main
from avaffect.core import descriptors
interruption.install()
{change}
sys.argv = ["avaffect", "info"]
enter()
"""
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
