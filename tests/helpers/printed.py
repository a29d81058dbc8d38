"""What commands print: tables as other tools read them, and what a terminal shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def table(text: str) -> list[dict[str, str]]:
    """Tab-separated lines with a header."""
    header, *rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row)) for row in rows]


def on_terminal(*arguments: object, cwd: Path | None = None, width: int = 80) -> tuple[str, str]:
    """What `avaffect ARGUMENTS...` draws on a terminal, and its words on standard error."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "avaffect", *map(str, arguments)],
        stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=cwd, text=True,
        env={**os.environ, "COLUMNS": str(width), "TERM": "dumb", "PYTHONIOENCODING": "utf-8",
             "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(ours)
    words = process.communicate()[1]
    assert process.returncode == 0, words
    return shown.decode(), words
