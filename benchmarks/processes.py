"""What a command costs, as a process of its own: time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
POLL_S = 0.02


@dataclass(frozen=True, order=True)
class Cost:
    """Of a command: its largest resident memory in bytes of its own (anonymous), of all and of
    mapped files, which the system takes back where memory is short; seconds. The parts need not be
    largest at once."""

    own: int
    peak: int
    mapped: int
    wall_s: float
    cpu_s: float


def avaffect(*arguments: object) -> list[str]:
    """The command line of a command of avaffect."""
    return [sys.executable, "-m", "avaffect", *map(str, arguments)]


def measured(command: Sequence[str], folder: Path | None = None) -> Cost:
    """Run a command in a folder to its end. Raises SystemExit, with what it said, if it fails."""
    start, largest = time.monotonic(), {"RssAnon": 0, "VmHWM": 0, "RssFile": 0}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        while True:
            for name, value in _status(process.pid):
                if name in largest:
                    largest[name] = max(largest[name], value)
            # The usage that wait4 gives of a child includes the memory of its parent before exec.
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(POLL_S)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}: status {process.returncode}: {said.read()}")
    return Cost(*largest.values(), time.monotonic() - start, usage.ru_utime + usage.ru_stime)


def _status(process: int) -> Iterator[tuple[str, int]]:
    """Fields of memory and their bytes."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            yield name, 1024 * int(value.split()[0])
