"""Commands in sessions of their own, and the processes that they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def start(cwd: Path, *arguments: object) -> subprocess.Popen[str]:
    """`avaffect ARGUMENTS...` as a process that leads a session."""
    return subprocess.Popen(
        [sys.executable, "-m", "avaffect", *map(str, arguments)],
        cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
        # Where the tests themselves run under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip


def members(session: int) -> set[int]:
    """The processes of a session that are not dead, its leader included."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            state, _, _, of = text.rpartition(")")[2].split()[:4]
            if int(of) == session and state not in "ZX":
                found.add(int(entry))
    return found


def left_after(session: int, seconds: float) -> set[int]:
    """The processes of a session that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := members(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
