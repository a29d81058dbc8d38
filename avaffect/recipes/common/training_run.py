"""Shared by recipes that train: the state folder, and the message at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core.errors import AvaffectError, Preempted
from avaffect.core.lock import Lock, acquire, try_acquire
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.signals import stop_flag
from avaffect.core.writing import writing
from avaffect.recipes.common import publishing
from avaffect.settings.base import Resumable
from avaffect.training import state

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from avaffect.training.run import Run


def is_done(settings: Resumable, made: Provenance, progress: Progress, plan: str) -> bool:
    """publishing.is_done; the state of a run that was killed after it had written its output is
    discarded."""
    assert settings.output is not None
    done = publishing.is_done(settings, made, progress, plan)
    folder = state.state_folder(settings.output)
    if done and not settings.dry_run and state.owner(folder) == identity(made):
        lock = try_acquire(folder / state.LOCK)
        if lock is not None:
            discard_state(folder)
            _leave(lock, folder)
    return done


@contextlib.contextmanager
def running(
    settings: Resumable, made: Provenance, fabric: Fabric | None, progress: Progress, seed: int = 0
) -> Iterator[Run | None]:
    """The run that makes `settings.output`, and its lock: resumed where its state is there,
    otherwise new; None where another process has made the output since `is_done` returned.

    Success removes the state. After a signal it stays, and after a failure the saved work stays.
    Raises LockedError where another process is making the output, OutputExistsError where there is
    the work of a run with other inputs or settings; in all ranks.
    """
    from avaffect.training.device import on_first_rank
    from avaffect.training.run import Run

    output = settings.output
    assert output is not None
    folder, history = state.state_folder(output), state.metrics_path(output)
    locks: list[Lock] = []

    def begin() -> bool:
        with writing(output):
            locks.append(acquire(folder / state.LOCK, output, progress.say))
        if publishing.is_done(settings, made, progress, ""):
            return False
        if not state.open_folder(folder, identity(made), settings.fresh):
            history.unlink(missing_ok=True)
        return True

    def check() -> None:
        for lock in locks:
            lock.check()

    try:
        begun = on_first_rank(fabric, begin)
        with stop_flag(progress.say) as flag:
            yield Run(seed, folder, history, flag=flag, check=check) if begun else None
    except Preempted:
        raise
    except AvaffectError:
        if locks and state.work_in(folder) is None:
            state.clear(folder)
        raise
    else:
        if locks:
            discard_state(folder)
    finally:
        for lock in locks:
            _leave(lock, folder)


def _leave(lock: Lock, folder: Path) -> None:
    """Release a lock; its folder is removed if it is empty."""
    lock.release()
    with contextlib.suppress(OSError):
        folder.rmdir()


def discard_state(folder: Path) -> None:
    """Success: the state of the run is no longer needed."""
    state.clear(folder)


def summary(output: Path, metrics: dict[str, dict[str, float]], name: str) -> str:
    """One line: the loss at the start and at the end."""
    if not metrics:
        return f"{output}: initialised, not trained"
    first, last = metrics["first"], metrics["last"]
    if name not in first or name not in last:
        return f"{output}: the {name} loss was computed for no frame"
    return f"{output}: {name} loss {first[name]:.3f} at the start, {last[name]:.3f} at the end"
