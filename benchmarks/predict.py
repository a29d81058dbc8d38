"""`avaffect predict` on one recording of 3 s and a bundle of Whisper tiny, against importing torch.

    python -m benchmarks.predict [--quick]

Whole processes, in turns: wall time and CPU time, of pairs of one after the other until --seconds
have gone, three at least and seven at most. A busy machine slows both of a pair; of the two figures
CPU time suffers less. Needs ../shared/models/whisper-tiny.en.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from avaffect.cli.main import run as command
from benchmarks.timing import Row, print_rows

Spent = tuple[float, float]

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT.parent / "shared" / "models" / "whisper-tiny.en"
TARGET = 1.5
# Pairs.
LEAST, MOST = 3, 7
SECONDS = 3.0
AVAFFECT = ("-m", "avaffect")
TORCH = ("-c", "import torch")
PREDICT = (*AVAFFECT, "predict", "clip.wav", "--model", "emotion.safetensors")


def run(folder: Path, arguments: tuple[str, ...]) -> Spent:
    """Wall and CPU seconds of a process of Python."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime


def build(folder: Path) -> None:
    """The bundle emotion.safetensors, and clip.wav."""
    random = np.random.default_rng(0)
    rows = ["path,emotion"]
    for number in range(4):
        sound = random.normal(0, 0.1, round(SECONDS * 16_000)).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", sound, 16_000)
        rows.append(f"{number}.wav,{('anger', 'neutral')[number % 2]}")
    (folder / "0.wav").rename(folder / "clip.wav")
    rows[1] = rows[1].replace("0.wav", "clip.wav")
    (folder / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            f"import {WEIGHTS} -o whisper.safetensors",
            "manifest table t.csv --media path --label emotion=emotion -o m.jsonl",
            "preprocess m.jsonl --without video -j 1 -o m.h5",
            "finetune m.h5 --encoder whisper.safetensors --mode frozen --epochs 1 --bundle "
            "-o emotion.safetensors -q",
        ):
            # In this process: torch is imported once.
            with contextlib.redirect_stderr(io.StringIO()) as said:
                status = command(line.split())
            if status:
                raise RuntimeError(f"avaffect {line}: {said.getvalue()}")
    finally:
        os.chdir(before)


def turns(folder: Path, seconds: float, least: int) -> list[tuple[Spent, Spent]]:
    """Of predict and of importing torch, which was read from the disk before, in each turn."""
    found: list[tuple[Spent, Spent]] = []
    end = time.perf_counter() + seconds
    while len(found) < least or (len(found) < MOST and time.perf_counter() < end):
        found.append((run(folder, PREDICT), run(folder, TORCH)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one pair")
    parser.add_argument("--seconds", type=float, default=40.0, help="no new pair after these")
    options = parser.parse_args()
    seconds, least = (0.0, 1) if options.quick else (options.seconds, LEAST)
    if not WEIGHTS.is_dir():
        print(f"not measured: {WEIGHTS} is not there")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        pairs = turns(folder, seconds, least)
    rows = [
        Row(f"predict clip.wav, {what}", statistics.median(p[i] / t[i] for p, t in pairs), TARGET,
            at_least=False,
            note=" and ".join(f"{min(of[i] for of in both):.2f}" for both in zip(*pairs))
            + f" s at least, {len(pairs)} pairs")
        for i, what in enumerate(("wall time", "CPU time"))
    ]  # fmt: skip
    print_rows("predict on one recording of 3 s, against importing torch", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
