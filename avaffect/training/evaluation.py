"""An objective's losses and metrics on held-out data."""

from __future__ import annotations

import json

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.progress import SILENT, Progress
from avaffect.objectives.base import Context, Objective
from avaffect.training.device import to_device
from avaffect.training.meter import Meter, Metrics
from avaffect.training.run import Batches
from avaffect.training.spool import Spool


@torch.no_grad()
def evaluate(
    objective: Objective,
    batches: Batches,
    seed: int,
    kept: Spool | None = None,
    progress: Progress = SILENT,
) -> Metrics:
    """Means over the batches of epoch 0, in evaluation mode; kept: the spool of the batches' sums.

    The objective's draws are a function of the seed and of the batch: every call gives the same.
    """
    training = objective.training
    objective.eval()
    meter = Meter()
    plan = batches.plan(0)
    with progress.task("development", len(plan), "batches"):
        for number, indices in enumerate(plan):

            def row(numbers: np.ndarray, indices: np.ndarray = indices) -> list[np.ndarray]:
                found = _sums(objective, batches, indices, seed, int(numbers[0]))
                return [np.frombuffer(json.dumps(found).encode(), dtype=np.uint8)]

            numbers = np.array([number])
            (text,) = row(numbers) if kept is None else kept.of(numbers, row)
            found = json.loads(text.tobytes())
            for name, (value, count) in found.items():
                meter.add(name, value, count)
            progress.advance()
    objective.train(training)
    return meter.means(lambda sums: sums)


def _sums(
    objective: Objective, batches: Batches, indices: np.ndarray, seed: int, number: int
) -> dict[str, tuple[float, float]]:
    """Sum and count of each loss and metric of a batch."""
    generator = torch.Generator()
    generator.manual_seed(seeds.derive(seed, "evaluation", number))
    device = next(objective.parameters()).device
    batch = to_device(batches.batch(indices, 0), device)
    step = objective(batch, Context(generator=generator))
    named = {**step.losses, **step.metrics}
    return {name: (float(value), float(count)) for name, (value, count) in named.items()}
