"""The outputs that the current command makes: one writer at a time for each.

A command that keeps its work takes the lock before it begins (`training_run`). Others claim their
output once they know that there is something to write, and keep it to their end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from avaffect.core.lock import Lock, acquire
from avaffect.core.writing import writing

STATE_SUFFIX = ".state"
LOCK = "lock"

_held: ContextVar[dict[Path, Lock] | None] = ContextVar("held", default=None)


def state_folder(output: Path) -> Path:
    """Where the lock and the kept work of the command lie that makes `output`."""
    return output.with_name(output.name + STATE_SUFFIX)


@contextlib.contextmanager
def of_command() -> Iterator[None]:
    """A block whose claims hold to its end."""
    held: dict[Path, Lock] = {}
    before = _held.set(held)
    try:
        yield
    finally:
        _held.reset(before)
        for lock in held.values():
            leave(lock)


def claim(output: Path, say: Callable[[str], None]) -> bool:
    """Whether the output is claimed from now on; not where it was before, and outside of a block.

    Raises LockedError where another process is making it, WriteError where it cannot be written.
    """
    held, place = _held.get(), output.absolute()
    if held is None or place in held or not output.parent.is_dir():
        return False
    with writing(output):
        held[place] = acquire(state_folder(output) / LOCK, output, say)
    return True


def check(output: Path) -> None:
    """Raises LockedError where the claim of an output was lost."""
    lock = (_held.get() or {}).get(output.absolute())
    if lock is not None:
        lock.check()


def leave(lock: Lock) -> None:
    """Release a lock; its folder is removed if it is empty."""
    lock.release()
    with contextlib.suppress(OSError):
        lock.path.parent.rmdir()
