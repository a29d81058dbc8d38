"""The one training loop, for every objective.

Every draw is a function of (seed, step), every batch of (seed, epoch): a run killed at any step and
resumed from its state therefore ends as the uninterrupted run does, bit for bit on the CPU at equal
thread counts.
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

from avaffect.core.errors import AvaffectError, UsageError
from avaffect.core.progress import Progress
from avaffect.core.signals import StopFlag, stop_flag
from avaffect.objectives.base import Objective
from avaffect.settings.training import (
    DIVIDED,
    TIED_TOGETHER,
    TrainingSettings,
    check_not_accumulated,
)
from avaffect.training import state as states
from avaffect.training.history import History
from avaffect.training.meter import Metrics, as_good
from avaffect.training.run import Batches, Outcome, Run
from avaffect.training.saving import Pace, Writer
from avaffect.training.step import Moment, Stepper

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

    Raises Preempted or Interrupted after a signal to stop (state saved), UsageError for settings
    that do not suit the objective, AvaffectError when a loss is no number.
    """
    check_coupled(objective, settings, fabric)
    if settings.epochs is None and settings.steps is None:
        raise UsageError("how long to train: give --epochs or --steps")
    with contextlib.ExitStack() as stack:
        flag = stack.enter_context(stop_flag(progress.say)) if run.flag is None else run.flag
        if fabric.world_size > 1:
            # Ranks stop together, between two steps.
            stack.enter_context(flag.steps())
        writer = Writer(Pace())
        stack.callback(writer.wait)
        stepper = Stepper(objective, batches, settings, fabric, run.seed)
        return _Trainer(stepper, replace(run, flag=flag), progress, flag, writer).run_all()


def check_coupled(objective: Objective, settings: TrainingSettings, fabric: Fabric) -> None:
    """Raises UsageError where batches are divided but the objective needs them whole."""
    if not objective.coupled:
        return
    check_not_accumulated(settings)
    if fabric.world_size > 1 and not objective.gathers:
        raise UsageError(TIED_TOGETHER.format(DIVIDED))


class _Trainer:
    """Epochs of steps, with evaluation, history and saved states between them."""

    def __init__(
        self, stepper: Stepper, run: Run, progress: Progress, flag: StopFlag, writer: Writer
    ) -> None:
        self.stepper, self.objective, self.batches = stepper, stepper.objective, stepper.batches
        self.settings, self.fabric, self.meter = stepper.settings, stepper.fabric, stepper.meter
        self.run, self.progress, self.flag = run, progress, flag
        self.step = self.epoch = self.position = 0
        # Batches of the epoch.
        self.planned = 1
        self.first, self.last = Metrics(), Metrics()
        self.best_metrics, self.newest = Metrics(), Metrics()
        self.best: dict[str, Tensor] = {}
        # One rank writes for all.
        path = None if self.fabric.global_rank else run.history
        self.history = History(path, run.tags)
        self.writer, self.pace = writer, writer.pace
        # Seconds of the last evaluation; unknown before the first.
        self.evaluation_s = math.inf
        resumed = self._resume()
        stepper.set_up()
        if not resumed:
            # A run that is killed before its first saved step then starts its history at the same
            # place.
            self._save()

    # -- the loop ------------------------------------------------------------------------------

    def run_all(self) -> Outcome:
        epochs, steps = self.settings.epochs, self.settings.steps
        what = " ".join(["training", *(f"{k} {v}" for k, v in self.run.tags.items())])
        unit = "steps" if steps else "epochs"
        self.progress.start(what, steps or epochs, unit, self.step if steps else self._epochs())
        # A run that was stopped at its last step has an epoch to end yet.
        while self.position or not self._finished(epochs, steps):
            plan = self.batches.plan(self.epoch)
            if not plan:
                raise AvaffectError("there is no utterance to train on")
            with self.flag.steps():
                self._train_epoch(plan, epochs, steps)
            if not self._finished_epoch(plan):
                if self.run.steady:
                    # Only evaluated weights can be kept.
                    self._evaluate()
                self.epoch, self.position = self.epoch + 1, 0
                break
            self._save_before(self.evaluation_s if self.run.evaluate else 0.0)
            self.epoch, self.position = self.epoch + 1, 0
            self._evaluate()
        self._flush()
        self.progress.finish()
        # The work after training may take long.
        self._save_before(math.inf)
        weights = self._copied() if self.run.keep_last else None
        if self.run.steady and as_good(self.run.select, self.newest, self.best_metrics):
            self.best_metrics = self.newest
        elif self.best:
            states.put_back(self.objective, self.best)
        kept_last = self.best_metrics.get("epoch") == self.newest.get("epoch")
        return Outcome(
            self.step, self.first, self.last, self.best_metrics, kept_last, self.newest, weights
        )

    def _epochs(self) -> float:
        """Epochs done, as a fraction."""
        within = self.position and self.position / len(self.batches.plan(self.epoch))
        return float(self.epoch + within)

    def _done(self) -> float:
        """The share of all trainings of the command that is done."""
        epochs, steps = self.settings.epochs, self.settings.steps
        if steps:
            share = self.step / steps
        else:
            share = (self.epoch + self.position / self.planned) / (epochs or 1)
        number, count = self.run.part
        return round((number + min(share, 1.0)) / count, 6)

    def _finished(self, epochs: int | None, steps: int | None) -> bool:
        return self.step >= steps if steps else self.epoch >= (epochs or 0)

    def _finished_epoch(self, plan: Sequence[np.ndarray]) -> bool:
        return self.position >= len(plan)

    def _train_epoch(
        self, plan: Sequence[np.ndarray], epochs: int | None, steps: int | None
    ) -> None:
        size, self.planned = self.settings.accumulate, len(plan)
        while self.position < len(plan) and not (steps and self.step >= steps):
            # The middle of the step: a run of one step has a learning rate above 0.
            if steps:
                done = (self.step + 0.5) / steps
            else:
                done = (self.epoch + (self.position + 0.5) / len(plan)) / (epochs or 1)
            group = plan[self.position : self.position + size]
            self.history.add_seconds(self.stepper.take(group, Moment(self.step, self.epoch, done)))
            self.step += 1
            self.position += len(group)
            if self.step % self.settings.log_every == 0 or self.step == 1:
                self._flush()
            self.progress.advance(1 if steps else len(group) / len(plan), **self.last)
            self._save_if_due()

    # -- evaluation, history, state ------------------------------------------------------------

    def _evaluate(self) -> None:
        if self.run.evaluate is None:
            return
        self.objective.eval()
        begun = time.monotonic()
        kept = self.run.spool(
            f"evaluation-{self.step}", self.progress.warn, self.fabric.global_rank == 0
        )
        with torch.no_grad():
            metrics = self.run.evaluate(self.objective, kept)
        if kept is not None:
            kept.remove()
        self.evaluation_s = time.monotonic() - begun
        self.history.write({"epoch": self.epoch, "done": self._done(), **metrics})
        name = self.run.select
        if name is None or name not in metrics:
            return
        self.newest = {**metrics, "epoch": float(self.epoch)}
        # The first of equally good epochs is kept.
        if not self.best_metrics or metrics[name] > self.best_metrics[name]:
            self.best_metrics = self.newest
            self.best = self._copied()

    def _copied(self) -> dict[str, Tensor]:
        own = states.trained_tensors(self.objective)
        return {name: tensor.detach().clone() for name, tensor in own.items()}

    def _flush(self) -> None:
        """Write the means since the last line to the history."""
        metrics = self.meter.means(self.stepper.reduce)
        if not metrics:
            return
        self.first = self.first or metrics
        self.last = metrics
        # After the last epoch `self.epoch` is already that of the next one.
        epoch = self.epoch if self.position else self.epoch - 1
        place = {"step": self.step, "epoch": epoch, "done": self._done()}
        self.history.write({**place, **metrics})

    def _save_if_due(self) -> None:
        request = {
            "stop": float(bool(self.flag)),
            "interrupted": float(self.flag.interrupted),
            # Clocks differ: one rank decides.
            "due": float(self.fabric.global_rank == 0 and self.pace.due()),
        }
        # Ranks stop together: the signal may have reached one of them alone.
        request = self.stepper.reduce(request)
        if request["stop"] or request["due"] or self.step % self.settings.save_every == 0:
            self._save()
        if request["stop"]:
            self.flag.stop(f"at step {self.step}", interrupted=bool(request["interrupted"]))

    def _save_before(self, seconds: float) -> None:
        """Save where a kill within the next so many seconds would lose too much work."""
        due = float(self.fabric.global_rank == 0 and self.pace.due(seconds))
        if self.stepper.reduce({"due": due})["due"]:
            self._save()

    def _save(self) -> None:
        if self.run.folder is None:
            return
        self.run.check()
        with self.flag.steps(), self.pace.saving():
            if self.fabric.global_rank == 0:
                self.writer.wait()
                tensors = states.snapshot(self.objective, self.stepper.optimisers, self.best)
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

    def _resume(self) -> bool:
        if self.run.folder is None:
            return False
        found = states.load_state(
            self.run.folder, self.objective, self.stepper.optimisers, self.progress.say
        )
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
                f"{self.run.history} differs from the saved state: it was changed, "
                "cut or damaged, and lines may be missing; the training itself goes on as before"
            )
        self.progress.say(f"resumed at step {self.step}, epoch {self.epoch}")
        return True
