"""A step of LoRA beside one of full fine-tuning: CPU time and memory, HuBERT base.

    python -m benchmarks.lora [--quick] [--utterances N] [--repetitions N]

Forward, backward and the optimiser's step of the encoder under a linear head, waveforms of 3 s.
Memory is what training adds to the weights: the optimiser's state, gradients, and what is saved for
the backward pass (each storage counted once). Beside it the peak resident memory of a process that
takes two steps, program and libraries included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.headers import Adapters
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.models import lora
from avaffect.models.hubert import PRESETS, Hubert
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

MIB = 2**20
SECONDS, RANK = 3.0, 8
TIME, MEMORY = 0.8, 0.5
LORA, FULL = "lora", "fine-tuned"


class Way:
    """One mode of training."""

    def __init__(self, mode: str, preset: str, utterances: int) -> None:
        torch.manual_seed(0)
        configuration = PRESETS[preset]
        still = replace(configuration.transformer, layerdrop=0.0)
        self.encoder = Hubert(replace(configuration, transformer=still)).train()
        if mode == LORA:
            modules = lora.projections(self.encoder)
            lora.insert(self.encoder, Adapters(rank=RANK, alpha=2.0 * RANK, modules=modules))
        self.head = torch.nn.Linear(self.encoder.dim, 4)
        trained = [p for p in self.encoder.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW([*trained, *self.head.parameters()], lr=1e-5)
        samples = int(SECONDS * SAMPLE_RATE_HZ)
        lengths = {"waveform": torch.full((utterances,), samples)}
        sounds = {"waveform": torch.randn(utterances, samples)}
        self.batch = Batch([""] * utterances, sounds, lengths)
        self.gradients = 0.0

    def loss(self) -> Tensor:
        return self.head(self.encoder(self.batch).mean()).square().mean()

    def step(self) -> None:
        self.loss().backward()
        held = (p.grad for g in self.optimiser.param_groups for p in g["params"])
        self.gradients = mib(grad for grad in held if grad is not None)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def saved(self) -> float:
        """MiB that the backward pass needs, beside the weights."""
        kept: dict[int, Tensor] = {}
        weights = {p.untyped_storage().data_ptr() for p in self.encoder.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            place = tensor.untyped_storage().data_ptr()
            if place not in weights:
                kept[place] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.loss()
        return sum(t.untyped_storage().nbytes() for t in kept.values()) / MIB

    def counted(self) -> tuple[float, float, float]:
        """MiB of optimiser, gradients and saved activations."""
        self.step()
        states = self.optimiser.state.values()
        optimiser = mib(v for state in states for v in state.values() if torch.is_tensor(v))
        return optimiser, self.gradients, self.saved()


def mib(tensors: Iterable[Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB


def high_water() -> float:
    """MiB of this process at most. ru_maxrss would be that of the process that began it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def peak(mode: str, preset: str, utterances: int) -> float:
    """MiB of a process of its own."""
    arguments = ["--peak", mode, "--preset", preset, "--utterances", str(utterances)]
    command = [sys.executable, "-m", "benchmarks.lora", *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def rows(preset: str, utterances: int, repetitions: int) -> list[Row]:
    ways = {mode: Way(mode, preset, utterances) for mode in (LORA, FULL)}
    counted = {mode: way.counted() for mode, way in ways.items()}
    seconds = interleaved({m: way.step for m, way in ways.items()}, repetitions=repetitions)
    peaks = {mode: peak(mode, preset, utterances) for mode in ways}
    words = " against ".join(
        f"{sum(found):,.0f} ({' + '.join(f'{part:,.0f}' for part in found)})"
        for found in counted.values()
    )
    times = " against ".join(f"{sorted(found)[len(found) // 2]:.2f}" for found in seconds.values())
    return [
        Row("CPU time of a step, lora / fine-tuned", median_ratio(seconds, LORA, FULL), TIME,
            at_least=False, note=f"{times} s"),
        Row("optimiser + gradients + saved", sum(counted[LORA]) / sum(counted[FULL]), MEMORY,
            at_least=False, note=f"{words} MiB"),
        Row("peak of a process", peaks[LORA] / peaks[FULL], MEMORY, at_least=False,
            note=f"{peaks[LORA]:,.0f} against {peaks[FULL]:,.0f} MiB"),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="HuBERT tiny, one repetition")
    parser.add_argument("--peak", choices=(LORA, FULL), help="peak memory of two steps, in MiB")
    parser.add_argument("--preset", default="base", help=argparse.SUPPRESS)
    parser.add_argument("--utterances", type=int, default=4, help="in a batch")
    parser.add_argument("--repetitions", type=int, default=3, help="of each step")
    given = parser.parse_args()
    preset, repetitions = ("tiny", 1) if given.quick else (given.preset, given.repetitions)
    with one_thread():
        if given.peak:
            way = Way(given.peak, given.preset, given.utterances)
            way.step()
            way.step()
            print(high_water())
            return 0
        found = rows(preset, given.utterances, repetitions)
    print_rows(f"low-rank adaptation, HuBERT {preset}, {given.utterances} x {SECONDS:g} s", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
