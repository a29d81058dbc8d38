"""The one training loop, for every objective.

Everything random is a function of (seed, step), every batch of (seed, epoch): a run killed at any
step and resumed from its state therefore ends as the undisturbed run does, bit for bit on the CPU
at equal thread counts.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core import seeds
from avaffect.core.batch import Batch
from avaffect.core.errors import AvaffectError, UsageError
from avaffect.core.progress import Progress
from avaffect.core.signals import StopFlag, stop_flag
from avaffect.objectives.base import Context, Objective
from avaffect.settings.training import TIED_TOGETHER, TrainingSettings
from avaffect.training import state as states
from avaffect.training.device import to_device
from avaffect.training.history import History
from avaffect.training.meter import Meter, Metrics, as_good, scaled, sum_counts
from avaffect.training.run import Batches, Outcome, Run
from avaffect.training.saving import Pace, Writer
from avaffect.training.schedules import decay_factor, learning_rate_factor

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    objective: Objective,
    batches: Batches,
    settings: TrainingSettings,
    run: Run,
    fabric: Fabric,
    progress: Progress,
) -> Outcome:
    """Train `objective` in place.

    Raises Preempted or Interrupted when a signal asked to stop (state saved), UsageError for
    settings that the objective cannot honour, AvaffectError when a loss is no number.
    """
    check_coupled(objective, settings, fabric)
    with contextlib.ExitStack() as stack:
        flag = stack.enter_context(stop_flag(progress.say)) if run.flag is None else run.flag
        if fabric.world_size > 1:
            # Ranks stop together, between two steps.
            stack.enter_context(flag.steps())
        writer = Writer(Pace())
        stack.callback(writer.wait)
        trainer = _Trainer(objective, batches, settings, run, fabric, progress, flag, writer)
        return trainer.run_all()


def check_coupled(objective: Objective, settings: TrainingSettings, fabric: Fabric) -> None:
    """Raises UsageError where batches are to be divided that the objective needs whole."""
    if objective.coupled and (settings.accumulate > 1 or fabric.world_size > 1):
        raise UsageError(TIED_TOGETHER)


class _Trainer:
    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        settings: TrainingSettings,
        run: Run,
        fabric: Fabric,
        progress: Progress,
        flag: StopFlag,
        writer: Writer,
    ) -> None:
        self.objective, self.batches, self.settings = objective, batches, settings
        self.run, self.fabric, self.progress, self.flag = run, fabric, progress, flag
        self.step = self.epoch = self.position = 0
        self.first, self.last = Metrics(), Metrics()
        self.best_metrics, self.newest = Metrics(), Metrics()
        self.best: dict[str, Tensor] = {}
        # One rank writes for all.
        path = None if fabric.global_rank else run.history
        self.history = History(path, run.tags)
        self.meter = Meter()
        self.writer, self.pace = writer, writer.pace
        # How long the last evaluation took; unknown before the first.
        self.evaluation_s = math.inf
        self._prepare()

    def _prepare(self) -> None:
        self.objective.to(self.fabric.device)
        optimisers = {phase: self._optimiser(phase) for phase in self.objective.phases}
        resumed = self._resume(optimisers)
        self.module, *wrapped = self.fabric.setup(self.objective, *optimisers.values())
        self.optimisers = dict(zip(optimisers, wrapped))
        if not resumed:
            # So that a run killed before its first saved step knows where its history began.
            self._save()

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
        # Adam with decoupled weight decay: without decay, plain Adam.
        return torch.optim.AdamW(groups, betas=self.objective.betas, eps=self.objective.epsilon)

    # -- the loop ------------------------------------------------------------------------------

    def run_all(self) -> Outcome:
        epochs, steps = self._length()
        what = " ".join(["training", *(f"{k} {v}" for k, v in self.run.tags.items())])
        unit = "steps" if steps else "epochs"
        self.progress.start(what, steps or epochs, unit, self.step if steps else self._epochs())
        while not self._finished(epochs, steps):
            plan = self.batches.plan(self.epoch)
            if not plan:
                raise AvaffectError("there is no utterance to train on")
            with self.flag.steps():
                self._train_epoch(plan, epochs, steps)
            if not self._finished_epoch(plan):
                if self.run.steady:
                    # What is kept has to have been looked at.
                    self._evaluate()
                break
            self._save_before(self.evaluation_s if self.run.evaluate else 0.0)
            self.epoch, self.position = self.epoch + 1, 0
            self._evaluate()
        self._flush()
        self.progress.finish()
        # Whatever is done with the weights may take long.
        self._save_before(math.inf)
        if self.run.steady and as_good(self.run.select, self.newest, self.best_metrics):
            self.best_metrics = self.newest
        elif self.best:
            self._restore_best()
        kept_last = self.best_metrics.get("epoch") == self.newest.get("epoch")
        return Outcome(self.step, self.first, self.last, self.best_metrics, kept_last)

    def _epochs(self) -> float:
        """How many epochs are done, in part too."""
        within = self.position and self.position / len(self.batches.plan(self.epoch))
        return float(self.epoch + within)

    def _length(self) -> tuple[int | None, int | None]:
        settings = self.settings
        if (settings.epochs is None) == (settings.steps is None):
            raise UsageError("give one of --epochs and --steps")
        if (settings.epochs or settings.steps or 0) < 1 or settings.accumulate < 1:
            raise UsageError("--epochs, --steps and --accumulate are at least 1")
        return settings.epochs, settings.steps

    def _finished(self, epochs: int | None, steps: int | None) -> bool:
        return self.step >= steps if steps else self.epoch >= (epochs or 0)

    def _finished_epoch(self, plan: Sequence[np.ndarray]) -> bool:
        return self.position >= len(plan)

    def _train_epoch(
        self, plan: Sequence[np.ndarray], epochs: int | None, steps: int | None
    ) -> None:
        size = self.settings.accumulate
        while self.position < len(plan) and not (steps and self.step >= steps):
            # The middle of the step: a run of one step has some learning rate.
            if steps:
                done = (self.step + 0.5) / steps
            else:
                done = (self.epoch + (self.position + 0.5) / len(plan)) / (epochs or 1)
            group = plan[self.position : self.position + size]
            for phase in self.objective.phases:
                self._optimise(group, phase, done)
            self.step += 1
            self.position += len(group)
            if self.step % self.settings.log_every == 0 or self.step == 1:
                self._flush()
            self.progress.advance(1 if steps else len(group) / len(plan), **self.last)
            self._save_if_due()

    def _optimise(self, group: Sequence[np.ndarray], phase: str, done: float) -> None:
        """One optimiser step over micro-batches; counts are known whole before any division."""
        settings = self.settings
        factor = learning_rate_factor(settings.schedule, done, settings.warmup)
        factor *= decay_factor(self.epoch, settings.decay, settings.decay_every)
        optimiser = self.optimisers[phase]
        for parameters in optimiser.param_groups:
            parameters["lr"] = parameters["peak_lr"] * factor
        parts = [self._part(indices) for indices in group]
        counts = None
        if len(parts) > 1:
            counts = self._reduce(
                sum_counts(
                    [
                        scaled(
                            self.objective.counts(batch, self._context(micro, done), phase), share
                        )
                        for micro, (batch, share) in enumerate(parts)
                    ]
                )
            )
        for micro, (batch, share) in enumerate(parts):
            with self.fabric.no_backward_sync(self.module, enabled=micro + 1 < len(parts)):
                self._backward(batch, share, micro, phase, done, counts)
        context = self._context(0, done)
        self.objective.before_step(context, phase)
        if self.settings.clip > 0:
            self.fabric.clip_gradients(self.module, optimiser, max_norm=self.settings.clip)
        optimiser.step()
        # All of them: this phase's losses reach the parameters of the others too.
        self.objective.zero_grad()
        self.objective.after_step(context, phase)
        self.meter.note("learning_rate", optimiser.param_groups[0]["lr"])

    def _backward(
        self,
        batch: Batch,
        share: float,
        micro: int,
        phase: str,
        done: float,
        counts: dict[str, float] | None,
    ) -> None:
        context = self._context(micro, done)
        # Dropout draws from torch's global state: a function of the step, like every other draw.
        torch.manual_seed(seeds.derive(self.run.seed, "dropout", *self._place(micro)))
        self.module.train()
        step = self.module(batch, context, phase)
        if counts is None:
            counts = self._reduce(
                {name: float(count) * share for name, (_, count) in step.losses.items()}
            )
        total = torch.zeros((), device=self.fabric.device)
        for name, (value, _) in step.losses.items():
            # DDP averages gradients over ranks; the sum is what the counts are for. It also
            # wants a gradient for all that `forward` gave: a loss without counts weighs nothing.
            part = share * self.fabric.world_size / counts[name] if counts[name] else 0.0
            total = total + value * (self.objective.weights.get(name, 1.0) * part)
        if not torch.isfinite(total):
            raise AvaffectError(
                f"the loss is {total.item()} at step {self.step} "
                f"({', '.join(f'{n} {v.item():.4g}' for n, (v, _) in step.losses.items())}); try "
                "a lower --learning-rate or --precision 32. The batch: " + " ".join(batch.ids[:8])
            )
        if total.requires_grad:
            self.fabric.backward(total)
        for name, (value, count) in {**step.losses, **step.metrics}.items():
            self.meter.add(name, value * share, count * share)

    def _part(self, indices: np.ndarray) -> tuple[Batch, float]:
        """This rank's part of a batch; a rank for which nothing is left repeats one, unweighed."""
        own = indices[self.fabric.global_rank :: self.fabric.world_size]
        share = 1.0 if len(own) else 0.0
        batch = self.batches.batch(own if len(own) else indices[:1], self.epoch)
        self.history.hear(batch.seconds() * share * self.fabric.world_size)
        return to_device(batch, self.fabric.device), share

    def _context(self, micro: int, done: float) -> Context:
        generator = torch.Generator()
        generator.manual_seed(seeds.derive(self.run.seed, "context", *self._place(micro)))
        return Context(step=self.step, epoch=self.epoch, progress=done, generator=generator)

    def _place(self, micro: int) -> tuple[int, int, int]:
        return self.step, self.fabric.global_rank, micro

    def _reduce(self, counts: dict[str, float]) -> dict[str, float]:
        if self.fabric.world_size == 1:
            return counts
        names = sorted(counts)
        values = torch.tensor([counts[name] for name in names], device=self.fabric.device)
        reduced = self.fabric.all_reduce(values, reduce_op="sum")
        return dict(zip(names, reduced.tolist()))  # type: ignore[union-attr]

    # -- evaluation, history, state ------------------------------------------------------------

    def _evaluate(self) -> None:
        if self.run.evaluate is None:
            return
        self.objective.eval()
        begun = time.monotonic()
        run = replace(self.run, flag=self.flag)
        kept = run.spool(
            f"evaluation-{self.step}", self.progress.warn, self.fabric.global_rank == 0
        )
        with torch.no_grad():
            metrics = self.run.evaluate(self.objective, kept)
        if kept is not None:
            kept.remove()
        self.evaluation_s = time.monotonic() - begun
        self.history.write({"epoch": self.epoch, **metrics})
        name = self.run.select
        if name is None or name not in metrics:
            return
        self.newest = {**metrics, "epoch": float(self.epoch)}
        # The first of equally good epochs is kept.
        if not self.best_metrics or metrics[name] > self.best_metrics[name]:
            self.best_metrics = self.newest
            self.best = {
                key: tensor.detach().clone()
                for key, tensor in states.trained_tensors(self.objective).items()
            }

    def _restore_best(self) -> None:
        own = states.trained_tensors(self.objective)
        with torch.no_grad():
            for name, tensor in self.best.items():
                own[name].copy_(tensor)

    def _flush(self) -> None:
        """Write the means since the last line to the history."""
        metrics = self.meter.means(self._reduce)
        if not metrics:
            return
        self.first = self.first or metrics
        self.last = metrics
        self.history.write({"step": self.step, "epoch": self.epoch, **metrics})

    def _save_if_due(self) -> None:
        asked = {
            "stop": float(bool(self.flag)),
            "interrupted": float(self.flag.interrupted),
            # Clocks differ: one rank decides.
            "due": float(self.fabric.global_rank == 0 and self.pace.due()),
        }
        # Ranks stop together: the signal may have reached one of them alone.
        asked = self._reduce(asked)
        if asked["stop"] or asked["due"] or self.step % self.settings.save_every == 0:
            self._save()
        if asked["stop"]:
            self.flag.stop(f"at step {self.step}", interrupted=bool(asked["interrupted"]))

    def _save_before(self, seconds: float) -> None:
        """Save where a kill within the next so many seconds would lose more than it should."""
        due = float(self.fabric.global_rank == 0 and self.pace.due(seconds))
        if self._reduce({"due": due})["due"]:
            self._save()

    def _save(self) -> None:
        if self.run.folder is None:
            return
        self.run.check()
        with self.flag.steps(), self.pace.saving():
            if self.fabric.global_rank == 0:
                self.writer.wait()
                tensors = states.snapshot(self.objective, self.optimisers, self.best)
                save = partial(states.save_state, self.run.folder, tensors, self._position())
                self.writer.start(save)
            self.fabric.barrier()

    def _position(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "first": self.first,
            "last": self.last,
            "best": self.best_metrics,
            "newest": self.newest,
            "history_bytes": self.history.length,
            "history_digest": self.history.digest(),
            "meter": self.meter.state(),
        }

    def _resume(self, optimisers: dict[str, torch.optim.Optimizer]) -> bool:
        if self.run.folder is None:
            return False
        found = states.load_state(self.run.folder, self.objective, optimisers, self.progress.say)
        if found is None:
            return False
        position, self.best = found
        self.best = {name: tensor.to(self.fabric.device) for name, tensor in self.best.items()}
        self.step, self.epoch = position["step"], position["epoch"]
        self.position = position["position"]
        self.first, self.last = position["first"], position["last"]
        self.best_metrics, self.newest = position["best"], position.get("newest", {})
        self.meter.restore(position["meter"])
        if not self.history.cut(position["history_bytes"], position.get("history_digest")):
            self.progress.warn(
                f"{self.run.history} is not what it was when the state was saved: it was changed, "
                "cut or damaged, and lines may be missing; the training itself goes on as before"
            )
        self.progress.say(f"resumed at step {self.step}, epoch {self.epoch}")
        return True
