"""Commands without standard input, output or error, as `>&-` closes them."""

from __future__ import annotations

import os
import random
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import (
    COMMANDS,
    Running,
    clear,
    judged,
    left_of,
    prepared,
    undisturbed,
)
from benchmarks.faults.table import Line

SEED = 18
QUICK = 3
CLOSED = {"<&-": (0,), ">&-": (1,), "2>&-": (2,), "<&- >&- 2>&-": (0, 1, 2)}
# They print scores and states beside their outputs.
PRINTING = ("monitor", "train")
# Commands that write to standard output where they have no other.
TO_OUTPUT = ("select c.jsonl --limit 3", "split c.jsonl", "info a.h5", "eval-class p.jsonl",
             "retrieve --query e.h5 --pool e.h5 --draws 2",
             "predict mfcc.h5 --model er.safetensors",
             "--help")  # fmt: skip


def tries(folder: Path, quick: bool) -> list[Line]:
    """Each command with one of CLOSED, in turns, in a process of its own; and the commands that
    write to a standard output that is closed. folder: an empty one."""
    with prepared(folder):
        chosen = [command for command in COMMANDS if command.name not in PRINTING]
        if quick:
            chosen = random.Random(SEED).sample(chosen, QUICK)
        lines = {name: Line(f"closed descriptors: {name}") for name in CLOSED}
        for number, command in enumerate(chosen):
            undisturbed(command)
            clear()
            name = list(CLOSED)[number % len(CLOSED)]

            def close(name: str = name) -> None:
                for descriptor in CLOSED[name]:
                    os.close(descriptor)

            running = Running(command.arguments, close, fork=False)
            lines[name].add(judged(command, running, (errors.DONE,)), str(command))
            clear()
        return [*lines.values(), _to_output(quick)]


def _to_output(quick: bool) -> Line:
    line = Line("closed descriptors: data to >&-")
    for words in TO_OUTPUT[:1] if quick else TO_OUTPUT:
        running = Running(words.split(), lambda: os.close(1), fork=False)
        status = running.end()
        wrong = None
        if status != errors.FAILURE or "standard output" not in running.said():
            wrong = f"status {status}"
        line.add("processes left" if left_of(running.pid) else wrong, words)
    return line
