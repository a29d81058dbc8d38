"""Shared by recipes whose work is kept until it is complete: the state folder, its lock, and the
message at the end of training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import claims
from avaffect.core.atomic import sweep
from avaffect.core.errors import AvaffectError, DataError, Preempted
from avaffect.core.kept import Kept
from avaffect.core.lock import Lock, acquire, try_acquire
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.signals import StopFlag, stop_flag
from avaffect.core.writing import writing
from avaffect.recipes.common import publishing
from avaffect.settings.base import Common, Resumable
from avaffect.training import state

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from avaffect.training.run import Run
    from avaffect.training.spool import Spool


def is_done(settings: Resumable, made: Provenance, progress: Progress, plan: str) -> bool:
    """publishing.is_done, as `is_current`."""
    # Signals are lost while torch is loaded, just before.
    progress.check()
    current = is_current(settings, made, progress)
    return current or publishing.is_dry(settings, progress, plan)


def is_current(settings: Resumable, made: Provenance, progress: Progress) -> bool:
    """publishing.is_current; the state of a run that was killed after it had written its output is
    discarded."""
    current = publishing.is_current(settings, made, progress)
    if current and settings.output is not None and not settings.dry_run:
        folder = claims.state_folder(settings.output)
        done = state.owner(folder) == identity(made) or state.work_in(folder) is None
        lock = try_acquire(folder / claims.LOCK) if folder.is_dir() and done else None
        if lock is not None:
            sweep(settings.output)
            discard_state(folder)
            claims.leave(lock)
    return current


@dataclass(frozen=True)
class Work:
    """Work whose parts are kept. folder: of its state, None where nothing is kept; flag: of the
    signals to stop; check: raises where the lock was lost."""

    folder: Path | None = None
    flag: StopFlag = field(default_factory=StopFlag)
    check: Callable[[], None] = lambda: None

    def store(self) -> Kept | None:
        """Where the utterances of a store are kept."""
        if self.folder is None:
            return None
        return Kept(self.folder / state.STORE, self.flag, self.check)

    def rows(self, name: str, progress: Progress) -> Spool | None:
        """Where the rows of a task are kept."""
        if self.folder is None:
            return None
        from avaffect.training.spool import Spool

        return Spool(self.folder / name, self.flag, progress.warn, check=self.check)


@contextlib.contextmanager
def working(settings: Common, made: Provenance, progress: Progress) -> Iterator[Work | None]:
    """The work that makes `settings.output` from a command that trains nothing, and its lock:
    resumed where parts of it are kept; None where another process has made the output since
    `is_done` returned. Without an output nothing is kept.

    Success removes what was kept, and so does a DataError. Raises as `running` does.
    """
    if settings.output is None:
        yield Work()
        return
    assert isinstance(settings, Resumable)
    with _state(settings, made, None, progress) as work:
        yield work


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
    from avaffect.training.run import Run

    assert settings.output is not None
    history = state.metrics_path(settings.output)
    with _state(settings, made, fabric, progress, history) as work:
        if work is None:
            yield None
        else:
            yield Run(seed, work.folder, history, flag=work.flag, check=work.check)


@contextlib.contextmanager
def _state(
    settings: Resumable, made: Provenance, fabric: Fabric | None, progress: Progress,
    history: Path | None = None,
) -> Iterator[Work | None]:  # fmt: skip
    """history: of an earlier run, removed where none is resumed."""
    output = settings.output
    assert output is not None
    folder = claims.state_folder(output)
    locks: list[Lock] = []

    def begin() -> bool:
        with writing(output):
            locks.append(acquire(folder / claims.LOCK, output, progress.say))
        if publishing.is_done(settings, made, progress, ""):
            return False
        resumed = state.open_folder(folder, identity(made), settings.fresh)
        if not resumed and history is not None:
            history.unlink(missing_ok=True)
        return True

    def check() -> None:
        for lock in locks:
            lock.check()

    try:
        if fabric is None:
            begun = begin()
        else:
            from avaffect.training.device import on_first_rank

            begun = on_first_rank(fabric, begin)
        with stop_flag(progress.say) as flag:
            yield Work(folder, flag, check) if begun else None
    except Preempted:
        raise
    except AvaffectError as error:
        # Without training, the same inputs fail again, and other ones are other work.
        useless = history is None and isinstance(error, DataError)
        if locks and (useless or state.work_in(folder) is None):
            state.clear(folder)
        raise
    else:
        if locks:
            discard_state(folder)
    finally:
        for lock in locks:
            claims.leave(lock)


def say_resumed(count: int, progress: Progress) -> None:
    """Say how many items an earlier process finished."""
    if count:
        progress.say(f"resumed after {count_of(count, 'item')} that an earlier process finished")


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
