"""AV-HuBERT nano against the same model with the plain full ResNet-18, and what a batch takes.

    python -m benchmarks.avhubert [--quick]

Forward and backward passes over sound and faces, crops and flips included. The memory is that of a
batch of so many frames, padding included, which is what the training loop caps.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial

import torch

from avaffect.core.batch import Batch
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.models.avhubert import PRESETS, AVHubert
from benchmarks.retrieve import peak_bytes
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

NANO = PRESETS["nano"]
PLAIN = replace(NANO, face_size=96, crop_size=88, width=64, activation="prelu")
# On two cores nano is to pass 1,000 frames a second forward and backward.
TARGET = 500
RATE = int(AVHubert.rate_hz)


def recordings(frames: list[int], size: int) -> Batch:
    """Noise for eyes and ears, an utterance for each number of frames."""
    lengths = torch.tensor(frames)
    longest, samples = max(frames), SAMPLE_RATE_HZ // RATE
    return Batch(
        ids=[str(index) for index in range(len(frames))],
        streams={
            "waveform": torch.randint(
                -9000, 9000, (len(frames), longest * samples), dtype=torch.int16
            ),
            "face": torch.randint(256, (len(frames), longest, size, size, 1), dtype=torch.uint8),
        },
        lengths={"waveform": lengths * samples, "face": lengths},
    )


def step(model: AVHubert, batch: Batch, generator: torch.Generator) -> None:
    model(model.view(batch, generator)).values.square().mean().backward()


def speed(utterances: int, repetitions: int) -> list[Row]:
    """Of nano, and over the plain model, which gets an eighth of the utterances."""
    torch.manual_seed(0)
    ways, units = {}, {}
    for name, configuration, count in (
        ("nano", NANO, utterances),
        ("plain", PLAIN, max(1, utterances // 8)),
    ):
        batch = recordings([40] * count, configuration.face_size)
        ways[name] = partial(step, AVHubert(configuration), batch, torch.Generator())
        units[name] = 40.0 * count
    seconds = interleaved(ways, units, repetitions)
    rate = {name: 1 / statistics.median(values) for name, values in seconds.items()}
    return [
        Row("nano, a core", rate["nano"], TARGET, " frames/s"),
        Row("nano over the plain ResNet-18", median_ratio(seconds, "plain", "nano"),
            note=f"which does {rate['plain']:.0f} frames/s"),
    ]  # fmt: skip


def peak_of_one_step(frames: list[int]) -> None:
    """In a process of its own: print the bytes that a step adds to the program's own."""
    torch.manual_seed(0)
    model = AVHubert(NANO)
    before = peak_bytes()
    step(model, recordings(frames, NANO.face_size), torch.Generator())
    print(peak_bytes() - before)


def memory(total: int) -> list[Row]:
    rows = []
    for name, frames in (
        ("short utterances", [40] * (total // 40)),
        ("long utterances", [total // 4] * 4),
        ("one long, others short", [total // 8, *[10] * 7]),
    ):
        command = [sys.executable, "-m", "benchmarks.avhubert", "--peak", *map(str, frames)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        note = f"{len(frames)} x {frames[0]} frames" if len(set(frames)) == 1 else "mostly padding"
        rows.append(
            Row(f"peak memory of {total:,} frames, {name}", int(run.stdout) / 2**20, unit=" MiB",
                note=note)
        )  # fmt: skip
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller steps")
    parser.add_argument("--peak", type=int, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with one_thread():
        if arguments.peak:
            peak_of_one_step(arguments.peak)
            return 0
        rows = speed(4, 1) if arguments.quick else speed(16, 5)
        rows += memory(200 if arguments.quick else 2000)
    print_rows("AV-HuBERT nano, forward and backward (CPU time, one core)", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
