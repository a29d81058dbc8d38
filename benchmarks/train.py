"""Batches bucketed by length against random ones: useful frames, and what a step costs.

    python -m benchmarks.train [--quick]

Utterances are 4 to 20 s long, log-normally. The steps are forward and backward passes of HuBERT
nano, their cost is CPU time per second of speech. bfloat16 is in benchmarks.encoder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from avaffect.core.batch import Batch
from avaffect.core.seeds import generator
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.batches import plan_batches, useful_share
from avaffect.models.hubert import PRESETS, Hubert
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows

SHORTEST, LONGEST = 4.0, 20.0
USEFUL = 0.96
# Enough that the number alone limits a batch, not its length.
UNLIMITED = 1e9


def durations(count: int) -> np.ndarray:
    """(count,) seconds."""
    drawn = generator(0, "durations").lognormal(2.0, 0.5, count)
    return np.clip(drawn, SHORTEST, LONGEST)


def random_batches(count: int, size: int) -> list[np.ndarray]:
    order = generator(0, "random").permutation(count)
    return [order[start : start + size] for start in range(0, count - size + 1, size)]


def bucketed(seconds: np.ndarray, batch_seconds: float, utterances: int) -> list[np.ndarray]:
    return plan_batches(seconds, batch_seconds, utterances, generator(0, "bucketed"))


def useful_rows(seconds: np.ndarray) -> list[Row]:
    """Shares of frames that are no padding: the default caps, and 32 utterances a batch."""
    return [
        Row("useful frames, bucketed, 80 s a batch",
            useful_share(seconds, bucketed(seconds, 80.0, 64)), USEFUL, unit=""),
        Row("useful frames, bucketed, 32 a batch",
            useful_share(seconds, bucketed(seconds, UNLIMITED, 32)), USEFUL, unit=""),
        Row("useful frames, random, 32 a batch",
            useful_share(seconds, random_batches(len(seconds), 32)), unit=""),
    ]  # fmt: skip


def epoch(model: Hubert, seconds: np.ndarray, batches: Sequence[np.ndarray]) -> None:
    """A forward and backward pass of each batch, padded to its longest utterance."""
    for batch in batches:
        lengths = torch.from_numpy((seconds[batch] * SAMPLE_RATE_HZ).astype(np.int64))
        waveform = torch.randn(len(batch), int(lengths.max()))
        sounds = Batch([""] * len(batch), {"waveform": waveform}, {"waveform": lengths})
        model(sounds).values.square().mean().backward()


def evenly(batches: Sequence[np.ndarray], seconds: np.ndarray, count: int) -> list[np.ndarray]:
    """So many batches, from short to long, that stand for all of them."""
    ordered = sorted(batches, key=lambda batch: float(seconds[batch].max()))
    places = (np.arange(count) + 0.5) * len(ordered) / count
    return [ordered[int(place)] for place in places]


def step_row(seconds: np.ndarray, utterances: int, batches: int, repetitions: int) -> Row:
    """CPU per second of speech in random batches over that in bucketed ones."""
    torch.manual_seed(0)
    model = Hubert(PRESETS["nano"])
    plans = {
        "random": random_batches(len(seconds), utterances),
        "bucketed": bucketed(seconds, UNLIMITED, utterances),
    }
    chosen = {name: evenly(plan, seconds, batches) for name, plan in plans.items()}
    spent = interleaved(
        {name: partial(epoch, model, seconds, plan) for name, plan in chosen.items()},
        {name: float(sum(seconds[b].sum() for b in plan)) for name, plan in chosen.items()},
        repetitions,
    )
    return Row(
        f"steps of nano, {utterances} a batch, random over bucketed",
        median_ratio(spent, "random", "bucketed"),
        note="CPU per second of speech",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller steps")
    quick = parser.parse_args().quick
    seconds = durations(20_000)
    rows = useful_rows(seconds)
    with one_thread():
        rows.append(step_row(seconds, *((4, 1, 1) if quick else (16, 3, 3))))
    print_rows("training batches, log-normal lengths of 4 to 20 s", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
