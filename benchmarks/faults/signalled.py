"""Commands that are told to stop, at any moment from their first instruction to their last."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import COMMANDS, Running, clear, judged, prepared, undisturbed
from benchmarks.faults.table import Line

SEED = 18
SIGNALS = 60
QUICK = 5
# What a signal's status may be; 0 where the command was done.
STATUSES = {
    signal.SIGTERM: errors.PREEMPTED,
    signal.SIGUSR1: errors.PREEMPTED,
    signal.SIGUSR2: errors.PREEMPTED,
    signal.SIGHUP: errors.PREEMPTED,
    signal.SIGINT: errors.INTERRUPTED,
}


def tries(folder: Path, quick: bool) -> list[Line]:
    """SIGNALS in turns, each to a command of its own, in a process of its own. folder: an empty
    one."""
    with prepared(folder):
        return _signalled(QUICK if quick else SIGNALS)


def _signalled(tried: int) -> list[Line]:
    draw = random.Random(SEED)
    lines = {number: Line(f"{number.name} at any moment") for number in STATUSES}
    starts: dict[str, float] = {}
    for count in range(tried):
        number = list(STATUSES)[count % len(STATUSES)]
        command = draw.choice(COMMANDS)
        whole = undisturbed(command)
        clear()
        took = starts.get(command.name)
        if took is None:
            running = Running(command.arguments, fork=False)
            running.end()
            took = starts[command.name] = time.monotonic() - running.began
            clear()
        # A third at the start, a third about the end.
        moment = (0.0, draw.uniform(0, took), took * draw.uniform(0.9, 1.05))[count % 3]
        running = Running(command.arguments, fork=False)
        # Before that it is the interpreter's, which handles SIGINT in its own way.
        while running.poll() is None and not running.handles(signal.SIGTERM):
            time.sleep(0.001)
        time.sleep(max(0.0, moment - (time.monotonic() - running.began)) if moment else 0.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        # Ctrl-C while the interpreter ends, after the work: a shell shows 130, as otherwise.
        expected = (STATUSES[number], errors.DONE, -signal.SIGINT)
        wrong = judged(command, running, expected)
        words = f"{command}: after {moment:.3f} of {took:.3f} s, {whole.seconds:.3f} in a fork"
        lines[number].add(wrong, f"{words}: {running.said()}")
        clear()
    return list(lines.values())
