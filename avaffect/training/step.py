"""One step of training: a group of micro-batches, and an update of the weights for each phase."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.batch import Batch
from avaffect.core.errors import AvaffectError
from avaffect.objectives.base import Context, Objective
from avaffect.settings.training import TrainingSettings
from avaffect.signal import ranks
from avaffect.training.device import to_device
from avaffect.training.gathering import Division, Gatherer, padded_alike
from avaffect.training.meter import Meter, scaled, sum_counts
from avaffect.training.run import Batches
from avaffect.training.schedules import decay_factor, learning_rate_factor

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Moment(NamedTuple):
    """Position in training; done: share of it that is over, 0 to 1."""

    step: int
    epoch: int
    done: float


class Part(NamedTuple):
    """A rank's part of a micro-batch, on the device.

    share    0 where it only repeats another rank's, 1 otherwise
    seconds  of recordings in it, before padding
    rows     its place in the batch; None: it is the batch
    """

    batch: Batch
    share: float
    seconds: float
    rows: ranks.Part | None = None


class Stepper:
    """The steps of a run; losses and metrics are added to `meter`.

    `set_up` is called once the state of `objective` and `optimisers` (phase -> optimiser) has been
    loaded, and before the first step.
    """

    def __init__(
        self, objective: Objective, batches: Batches, settings: TrainingSettings, fabric: Fabric,
        seed: int,
    ) -> None:  # fmt: skip
        self.objective, self.batches, self.settings = objective, batches, settings
        self.fabric, self.seed = fabric, seed
        self.meter = Meter()
        self.gatherer: Gatherer | None = None
        objective.to(fabric.device)
        self.optimisers = {phase: self._optimiser(phase) for phase in objective.phases}

    def _optimiser(self, phase: str) -> torch.optim.Optimizer:
        settings = self.settings
        groups = [
            {
                "params": group.parameters,
                "name": group.name,
                "lr": group.options.get("lr", settings.learning_rate),
                "weight_decay": group.options.get("weight_decay", settings.weight_decay),
            }
            for group in self.objective.parameter_groups(phase)
            if group.parameters
        ]
        for group in groups:
            group["peak_lr"] = group["lr"]
        if self.objective.sgd_momentum is not None:
            # Weight decay is part of the gradient here.
            return torch.optim.SGD(groups, momentum=self.objective.sgd_momentum)
        # Adam with decoupled weight decay: without decay, plain Adam.
        return torch.optim.AdamW(groups, betas=self.objective.betas, eps=self.objective.epsilon)

    def set_up(self) -> None:
        """Hand objective and optimisers to the fabric."""
        self.module, *wrapped = self.fabric.setup(self.objective, *self.optimisers.values())
        self.optimisers = dict(zip(self.optimisers, wrapped))
        if self.objective.gathers and self.fabric.world_size > 1:
            self.gatherer = Gatherer(self.fabric)

    def take(self, group: Sequence[np.ndarray], now: Moment) -> float:
        """One step over micro-batches, which are read once for all phases; returns their seconds of
        recordings, in all ranks.

        Raises AvaffectError when a loss is no number.
        """
        # Released with this call: the device never holds the micro-batches of two steps.
        parts = [self._part(indices, now.epoch) for indices in group]
        for phase in self.objective.phases:
            self._optimise(parts, phase, now)
        return sum(part.seconds * part.share for part in parts) * self.fabric.world_size

    def reduce(self, counts: dict[str, float]) -> dict[str, float]:
        """Sums over all ranks."""
        if self.fabric.world_size == 1:
            return counts
        names = sorted(counts)
        values = torch.tensor([counts[name] for name in names], device=self.fabric.device)
        reduced = self.fabric.all_reduce(values, reduce_op="sum")
        return dict(zip(names, reduced.tolist()))  # type: ignore[union-attr]

    def _part(self, indices: np.ndarray, epoch: int) -> Part:
        """This rank's part of a batch; a rank without a part repeats one, with weight 0."""
        many = self.fabric.world_size > 1
        own = indices[self.fabric.global_rank :: self.fabric.world_size] if many else indices
        batch = self.batches.batch(own if len(own) else indices[:1], epoch)
        moved, seconds = to_device(batch, self.fabric.device), batch.seconds()
        if not many:
            return Part(moved, 1.0, seconds)
        views = len(batch) // max(1, len(own))
        division = Division(self.fabric, len(indices), views)
        moved = padded_alike(moved, self.fabric)
        return Part(moved, 1.0 if len(own) else 0.0, seconds, division.part())

    def _optimise(self, parts: Sequence[Part], phase: str, now: Moment) -> None:
        """One optimiser step over micro-batches; counts are summed over all of them before any
        division."""
        settings = self.settings
        factor = learning_rate_factor(settings.schedule, now.done, settings.warmup)
        factor *= decay_factor(now.epoch, settings.decay, settings.decay_every)
        optimiser = self.optimisers[phase]
        for parameters in optimiser.param_groups:
            parameters["lr"] = parameters["peak_lr"] * factor
        counts = self._counts(parts, phase, now) if len(parts) > 1 else None
        for micro, part in enumerate(parts):
            with self.fabric.no_backward_sync(self.module, enabled=micro + 1 < len(parts)):
                self._backward(part, micro, phase, now, counts)
        context = self._context(0, now)
        self.objective.before_step(context, phase)
        if settings.clip > 0:
            self.fabric.clip_gradients(self.module, optimiser, max_norm=settings.clip)
        optimiser.step()
        # All of them: this phase's losses also give gradients to the parameters of the others.
        self.objective.zero_grad()
        self.objective.after_step(context, phase)
        self.meter.note("learning_rate", optimiser.param_groups[0]["lr"])

    def _counts(self, parts: Sequence[Part], phase: str, now: Moment) -> dict[str, float]:
        """Counts of each loss over all micro-batches and ranks, without a forward pass."""
        each = []
        for micro, part in enumerate(parts):
            with ranks.sharing(part.rows):
                counts = self.objective.counts(part.batch, self._context(micro, now), phase)
            each.append(scaled(counts, part.share))
        return self.reduce(sum_counts(each))

    def _backward(
        self, part: Part, micro: int, phase: str, now: Moment, counts: dict[str, float] | None
    ) -> None:
        batch, share = part.batch, part.share
        context = self._context(micro, now)
        if self.gatherer is not None:
            context.gather = partial(self.gatherer, counted=share > 0)
        self._seed(micro, now)
        self.module.train()
        with ranks.sharing(part.rows):
            step = self.module(batch, context, phase)
        if counts is None:
            counts = self.reduce(
                {name: float(count) * share for name, (_, count) in step.losses.items()}
            )
        total = torch.zeros((), device=self.fabric.device)
        for name, (value, _) in step.losses.items():
            # DDP averages gradients over ranks; the counts require the sum. It also requires a
            # gradient for every output of `forward`: a loss without counts has weight 0.
            weight = share * self.fabric.world_size / counts[name] if counts[name] else 0.0
            total = total + value * (self.objective.weights.get(name, 1.0) * weight)
        if not torch.isfinite(total):
            raise AvaffectError(
                f"the loss is {total.item()} at step {now.step} "
                f"({', '.join(f'{n} {v.item():.4g}' for n, (v, _) in step.losses.items())}); try "
                "a lower --learning-rate or --precision 32. The batch: " + " ".join(batch.ids[:8])
            )
        if total.requires_grad:
            self.fabric.backward(total)
        for name, (value, count) in {**step.losses, **step.metrics}.items():
            self.meter.add(name, value * share, count * share)

    def _context(self, micro: int, now: Moment) -> Context:
        generator = torch.Generator()
        generator.manual_seed(seeds.derive(self.seed, "context", *_place(micro, now)))
        return Context(step=now.step, epoch=now.epoch, progress=now.done, generator=generator)

    def _seed(self, micro: int, now: Moment) -> None:
        """Seed dropout, which draws from torch's global state: a function of the step as well."""
        torch.manual_seed(seeds.derive(self.seed, "dropout", *_place(micro, now)))
        rank = self.fabric.global_rank
        if rank > 0 and self.fabric.device.type == "cuda":
            # What a GPU draws for its own utterances would otherwise be what the first one does.
            torch.cuda.manual_seed(seeds.derive(self.seed, "dropout", *_place(micro, now, rank)))


def _place(micro: int, now: Moment, rank: int = 0) -> tuple[int, int, int]:
    """The names of a draw: all ranks draw the same, for the utterances of all of them."""
    return now.step, rank, micro
