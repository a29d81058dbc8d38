"""Runs a Makefile of examples/ as users do."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

from forked import client

ROOT = Path(__file__).resolve().parents[2]


def make(makefile: str, *variables: str) -> str:
    """Run an example with `avaffect` on the path (see forked.py); its standard output."""
    path = f"{client().parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["make", "--no-print-directory", "-f", makefile, *variables],
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


def pool_of_talk_shows(recordings: Path, folder: Path) -> tuple[Path, set[str]]:
    """A table of an eighth of the real talk shows, of all emotions; and its speakers."""
    with (recordings / "files.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["path"].startswith("urdu_pool/")][::8]
    pool = folder / "pool.csv"
    with pool.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "speaker", "emotion"], extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "path": os.path.relpath(recordings / row["path"], folder)})
    return pool, {row["speaker"] for row in rows}
