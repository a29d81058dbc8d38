"""VAVL: bucketed against unsorted batches, and a step beside the arithmetic of its parts.

    python -m benchmarks.vavl [--quick] [--hidden 512]

CPU time, one thread. Utterances are 4 to 20 s long, log-normally, with frames of wav2vec 2.0 (1,024
numbers, 50 a second) and of EfficientNet-B2 (1,408, 25 a second); the conformers are a quarter as
wide as the paper's, or as wide with `--hidden 512`. A step is one of the training loop, with its
reading of the batch. Its parts, on tensors that are there already: forward and backward passes of
each stream's branch with the shared layers, a forward pass of both in evaluation mode, forward and
backward passes of the audiovisual prediction, and an update of the weights for each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from avaffect.core.batch import Batch
from avaffect.models.encoder import Frames
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration, stream_of
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.vavl import VAVLConfiguration, VAVLHead
from avaffect.models.inputs import Inputs
from avaffect.objectives.criteria import ClassCriterion
from avaffect.objectives.two_streams import TwoStreams
from avaffect.settings.training import TrainingSettings
from avaffect.settings.two_stream_options import AUDIO, AV, VIDEO
from avaffect.training.device import make_fabric
from avaffect.training.step import Moment, Stepper
from benchmarks.timing import Row, interleaved, median_ratio, one_thread, print_rows
from benchmarks.train import UNLIMITED, bucketed, durations, evenly, random_batches

DIMS, RATES = {AUDIO: 1024, VIDEO: 1408}, {AUDIO: 50.0, VIDEO: 25.0}
HIDDEN, CLASSES = 128, 6
BUCKETS, STEP = 1.8, 1.15
NOW = Moment(step=0, epoch=0, done=0.5)


class Drawn:
    """Batches of random frames as long as the utterances. read: how many were read."""

    def __init__(self, seconds: np.ndarray) -> None:
        self.seconds, self.read = seconds, 0
        random = np.random.default_rng(0)
        self.frames = {
            name: random.normal(size=(int(seconds.max() * RATES[name]), DIMS[name]))
            .astype(np.float32) for name in DIMS
        }  # fmt: skip

    def plan(self, epoch: int) -> list[np.ndarray]:
        return []

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        self.read += 1
        batch = Batch([str(index) for index in indices])
        for name, frames in self.frames.items():
            lengths = np.maximum((self.seconds[indices] * RATES[name]).astype(np.int64), 1)
            there = np.arange(lengths.max()) < lengths[:, None]
            stream = stream_of(name)
            batch.streams[stream] = frames[: lengths.max()] * there[..., None].astype(np.float32)
            batch.lengths[stream], batch.present[stream] = lengths, lengths > 0
            batch.rates[stream] = RATES[name]
        batch.labels["emotion"] = indices % CLASSES
        return batch


def stepper(batches: Drawn, hidden: int) -> Stepper:
    """The training loop's steps of a fresh VAVL."""
    torch.manual_seed(0)
    inputs = tuple(HeadInput(name, DIMS[name], RATES[name]) for name in DIMS)
    head = VAVLHead(VAVLConfiguration(inputs=inputs, outputs=CLASSES, hidden=hidden))
    given = {
        name: GivenFeatures(GivenFeaturesConfiguration(DIMS[name], RATES[name], stream_of(name)))
        for name in DIMS
    }
    labelled = LabelHead.of(head, (Readout("emotion", "class", classes=CLASSES),))
    criterion = ClassCriterion("emotion", 0, {"ce": 1.0}, alone=True)
    objective = TwoStreams(labelled, (criterion,), Inputs(given, either=True), True)
    settings = TrainingSettings(steps=1, clip=0.0)
    found = Stepper(objective, batches, settings, make_fabric("cpu", "32"), seed=0)
    found.set_up()
    return found


def epoch(steps: Stepper, plan: Sequence[np.ndarray]) -> None:
    for indices in plan:
        steps.take([indices], NOW)


class Parts:
    """The arithmetic of a step, written out."""

    def __init__(self, steps: Stepper, batches: Drawn, indices: np.ndarray) -> None:
        self.head, self.optimisers = steps.objective.beneath, steps.optimisers
        batch = batches.batch(indices, 0)
        self.labels = torch.from_numpy(batch.labels["emotion"])
        self.frames = {
            name: Frames(*(torch.from_numpy(held[stream_of(name)])
                           for held in (batch.streams, batch.lengths)))
            for name in DIMS
        }  # fmt: skip

    def step(self) -> None:
        head = self.head.train()
        for name in (AUDIO, VIDEO):
            branch, frames = head._branch(name), self.frames[name]
            embedding = head.layers(branch(frames))
            loss = F.cross_entropy(branch.predict(embedding), self.labels)
            rebuilt = F.mse_loss(branch.reconstruct(embedding), frames.mean())
            self.update(name, loss + 2.0 * rebuilt)
        head.eval()
        with torch.no_grad():
            both = [head.layers(head._branch(name)(self.frames[name])) for name in (AUDIO, VIDEO)]
        head.train()
        self.update(AV, F.cross_entropy(head.av(torch.cat(both, dim=1)), self.labels))

    def update(self, phase: str, loss: torch.Tensor) -> None:
        loss.backward()
        self.optimisers[phase].step()
        self.head.zero_grad()


def bucket_row(
    seconds: np.ndarray, hidden: int, utterances: int, count: int, repetitions: int
) -> Row:
    """CPU per second of speech in unsorted batches over that in bucketed ones."""
    plans = {
        "unsorted": random_batches(len(seconds), utterances),
        "bucketed": bucketed(seconds, UNLIMITED, utterances),
    }
    chosen = {name: evenly(plan, seconds, count) for name, plan in plans.items()}
    steps = stepper(Drawn(seconds), hidden)
    spent = interleaved(
        {name: partial(epoch, steps, plan) for name, plan in chosen.items()},
        {name: float(sum(seconds[b].sum() for b in plan)) for name, plan in chosen.items()},
        repetitions,
    )
    return Row(
        f"steps, {utterances} a batch, unsorted over bucketed",
        median_ratio(spent, "unsorted", "bucketed"), BUCKETS, note="CPU per second of speech",
    )  # fmt: skip


def step_rows(seconds: np.ndarray, hidden: int, utterances: int, repetitions: int) -> list[Row]:
    """A step over its parts, on the same utterances."""
    (indices,) = evenly(bucketed(seconds, UNLIMITED, utterances), seconds, 1)
    batches = Drawn(seconds)
    steps = stepper(batches, hidden)
    epoch(steps, [indices])
    read = batches.read
    parts = Parts(steps, batches, indices)
    spent = interleaved(
        {"step": partial(epoch, steps, [indices]), "parts": parts.step}, None, repetitions
    )
    return [
        Row("batches read in a step of three phases", read, 1, unit="", at_least=False),
        Row(f"a step of {utterances}, over its parts", median_ratio(spent, "step", "parts"), STEP,
            at_least=False),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller steps")
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="width of the conformers")
    quick, hidden = vars(parser.parse_args()).values()
    seconds = durations(2000)
    with one_thread():
        rows = step_rows(seconds, hidden, *((2, 1) if quick else (8, 3)))
        print_rows(f"VAVL, {hidden} wide, log-normal lengths of 4 to 20 s", rows)
        row = bucket_row(seconds, hidden, *((4, 1, 1) if quick else (8, 2, 2)))
    print_rows("VAVL, batches", [row])
    return 0


if __name__ == "__main__":
    sys.exit(main())
