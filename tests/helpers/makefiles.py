"""Runs a Makefile of examples/ as users do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from forked import client

ROOT = Path(__file__).resolve().parents[2]


def make(makefile: str, *variables: str) -> str:
    """Run an example with `avaffect` on the path (see forked.py); its standard output."""
    path = f"{client().parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["make", "-f", makefile, *variables],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def sentences_of_emodb(recordings: Path, folder: Path, *sentences: str) -> Path:
    """A folder with EmoDB's recordings of some sentences, by all speakers, in all emotions."""
    emodb = folder / "emodb"
    emodb.mkdir()
    for path in (recordings / "emodb").glob("*.wav"):
        if path.stem[2:5] in sentences:
            (emodb / path.name).symlink_to(path)
    return emodb
