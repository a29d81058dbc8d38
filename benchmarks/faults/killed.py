"""Commands that are killed at any moment from their start to their end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import (
    COMMANDS,
    Command,
    Running,
    clear,
    judged,
    prepared,
    undisturbed,
)
from benchmarks.faults.table import Line

SEED = 18
# Of each command.
KILLS = 3
QUICK = 4


def tries(folder: Path, quick: bool) -> list[Line]:
    """KILLS of each command. folder: an empty one."""
    with prepared(folder):
        lines = [_killed(command, quick, n) for n, command in enumerate(_chosen(quick))]
        return _by_name(lines)


def _chosen(quick: bool) -> list[Command]:
    return random.Random(SEED).sample(COMMANDS, QUICK) if quick else list(COMMANDS)


def _by_name(lines: list[Line]) -> list[Line]:
    """One line a command, whatever its arguments."""
    found: dict[str, Line] = {}
    for line in lines:
        same = found.setdefault(line.fault, Line(line.fault))
        same.tries += line.tries
        same.bad += line.bad
        same.examples |= line.examples
    return list(found.values())


def _killed(command: Command, quick: bool, number: int) -> Line:
    draw = random.Random(f"{SEED} {number}")
    line = Line(f"SIGKILL: {command.name}")
    whole = undisturbed(command)
    clear()
    for _ in range(1 if quick else KILLS):
        # The same output is killed until it is made.
        moment = draw.uniform(0.0, 1.05 * whole.seconds)
        running = Running(command.arguments)
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)
        wrong = judged(command, running, (-signal.SIGKILL, errors.DONE))
        line.add(wrong, f"{command}: killed after {moment:.3f} s")
        clear()
    return line
