"""Commands that may take little memory beyond what they have at their start (RLIMIT_AS)."""

from __future__ import annotations

import random
import resource
import signal
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import DISTINCT, Running, clear, judged, prepared, undisturbed
from benchmarks.faults.table import Line

SEED = 18
QUICK = 3
MEGABYTE = 1 << 20
SPARE = (1, 12, 60)


def tries(folder: Path, quick: bool) -> list[Line]:
    """Each command with each of SPARE megabytes. folder: an empty one."""
    with prepared(folder):
        chosen = list(DISTINCT)
        if quick:
            chosen = random.Random(SEED).sample(chosen, QUICK)
        lines = []
        for spare in SPARE[1:] if quick else SPARE:
            line = Line(f"memory: {spare} MB more than at the start")
            for command in chosen:
                undisturbed(command)
                clear()

                def limit(spare: int = spare) -> None:
                    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
                    held = int(pages) * resource.getpagesize()
                    most = held + spare * MEGABYTE
                    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

                running = Running(command.arguments, limit)
                # Libraries in Rust and C++ end the process, as avaffect(1) says.
                expected = (errors.DONE, errors.FAILURE, -signal.SIGABRT)
                wrong = judged(command, running, expected)
                line.add(wrong, f"{command}: {running.said()}")
            clear()
            lines.append(line)
        return lines
