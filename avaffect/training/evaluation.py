"""An objective's losses and metrics on data that it does not learn from."""

from __future__ import annotations

import torch

from avaffect.core import seeds
from avaffect.objectives.base import Context, Objective
from avaffect.training.device import to_device
from avaffect.training.loop import Batches
from avaffect.training.meter import Meter, Metrics


@torch.no_grad()
def evaluate(objective: Objective, batches: Batches, seed: int) -> Metrics:
    """Means over the batches of epoch 0, in evaluation mode.

    What the objective draws is a function of the seed and of the batch: every call asks the same.
    """
    training = objective.training
    objective.eval()
    device = next(objective.parameters()).device
    meter = Meter()
    for number, indices in enumerate(batches.plan(0)):
        generator = torch.Generator()
        generator.manual_seed(seeds.derive(seed, "evaluation", number))
        batch = to_device(batches.batch(indices, 0), device)
        step = objective(batch, Context(generator=generator))
        for name, (value, count) in {**step.losses, **step.metrics}.items():
            meter.add(name, value, count)
    objective.train(training)
    return meter.means(lambda sums: sums)
