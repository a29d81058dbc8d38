"""What recipes that train share: the state folder, and a word at the end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.recipes import common
from avaffect.settings.training import TrainingSettings
from avaffect.training import state

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from avaffect.training.loop import Run


def is_done(settings: TrainingSettings, made: Provenance, progress: Progress, plan: str) -> bool:
    """common.is_done; a state that outlived its run, killed at the very end, is discarded."""
    done = common.is_done(settings, made, progress, plan)
    folder = state.state_folder(settings.output)
    if done and not settings.dry_run and state.owner(folder) == identity(made):
        discard_state(settings.output)
    return done


def open_run(settings: TrainingSettings, made: Provenance, fabric: Fabric) -> Run:
    """The run that makes `settings.output`: resumed where its state is there, otherwise new.

    Raises OutputExistsError where there is the state of a run with other inputs or settings.
    """
    from avaffect.training.loop import Run

    folder = state.state_folder(settings.output)
    history = state.metrics_path(settings.output)
    if fabric.global_rank == 0:
        resumed = state.open_folder(folder, identity(made), settings.fresh)
        if not resumed:
            history.unlink(missing_ok=True)
    fabric.barrier()
    return Run(seed=settings.seed, folder=folder, history=history)


def discard_state(output: Path) -> None:
    """Success: the state of the run is no longer needed."""
    shutil.rmtree(state.state_folder(output), ignore_errors=True)


def summary(output: Path, metrics: dict[str, dict[str, float]], name: str) -> str:
    """One line: the loss at the start and at the end."""
    if not metrics:
        return f"{output}: initialised, not trained"
    first, last = metrics["first"], metrics["last"]
    if name not in first or name not in last:
        return f"{output}: no {name} frame was seen"
    return f"{output}: {name} loss {first[name]:.3f} at the start, {last[name]:.3f} at the end"
