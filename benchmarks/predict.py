"""`avaffect predict` on one recording of 3 s and a bundle of Whisper tiny, against importing torch.

    python -m benchmarks.predict [--quick]

Whole processes, in turns: wall time and CPU time. Needs ../shared/models/whisper-tiny.en.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.timing import Row, print_rows

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT.parent / "shared" / "models" / "whisper-tiny.en"
TARGET = 1.5
SECONDS = 3.0
AVAFFECT = ("-m", "avaffect")
TORCH = ("-c", "import torch")
PREDICT = (*AVAFFECT, "predict", "clip.wav", "--model", "emotion.safetensors")


def run(folder: Path, arguments: tuple[str, ...]) -> tuple[float, float]:
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
    for line in (
        f"import {WEIGHTS} -o whisper.safetensors",
        "manifest table t.csv --media path --label emotion=emotion -o m.jsonl",
        "preprocess m.jsonl --without video -j 1 -o m.h5",
        "finetune m.h5 --encoder whisper.safetensors --mode frozen --epochs 1 --bundle "
        "-o emotion.safetensors",
    ):
        run(folder, (*AVAFFECT, *line.split()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repetition")
    repetitions = 1 if parser.parse_args().quick else 7
    if not WEIGHTS.is_dir():
        print(f"not measured: {WEIGHTS} is not there")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        turns = [(run(folder, PREDICT), run(folder, TORCH)) for _ in range(repetitions + 1)][1:]
    rows = [
        Row(f"predict clip.wav, {what}", statistics.median(p[i] / t[i] for p, t in turns), target,
            at_least=False)
        for i, (what, target) in enumerate((("wall time", TARGET), ("CPU time", None)))
    ]  # fmt: skip
    print_rows("predict on one recording of 3 s, against importing torch", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
