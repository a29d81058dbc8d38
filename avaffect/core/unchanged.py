"""Files whose content ids the current command took: what it reads of them later is the same.

The provenance of an output holds the content ids of its inputs, which are taken before the inputs
are read. A file that is replaced in between would give an output of other inputs than it says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from avaffect.core.errors import DataError

# Device, inode, size, and times of the last changes of content and of the file.
Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class _Taken:
    """stamp: of the file just before its content id was computed; compute: computes it."""

    stamp: Stamp | None
    content_id: str
    compute: Callable[[], str]


_taken: ContextVar[dict[Path, _Taken] | None] = ContextVar("taken", default=None)


@contextlib.contextmanager
def of_command() -> Iterator[None]:
    """A block in which `check` compares; outside of one, it does nothing."""
    before = _taken.set({})
    try:
        yield
    finally:
        _taken.reset(before)


def take(path: Path, compute: Callable[[], str]) -> str:
    """The content id of a file, as `compute` gives it; once, where the file stays as it is.

    Raises DataError where it was taken before, and the file was replaced since.
    """
    known = _taken.get()
    if known is None:
        return compute()
    check(path)
    place = path.absolute()
    if place not in known:
        stamp = stamp_of(path)
        known[place] = _Taken(stamp, compute(), compute)
    return known[place].content_id


def check(path: Path) -> None:
    """Raises DataError where a file was replaced or edited since its content id was taken. Readers
    call it once they have read the file."""
    known, place = _taken.get(), path.absolute()
    if not known or place not in known:
        return
    taken, stamp = known[place], stamp_of(path)
    if stamp == taken.stamp:
        return
    # A reader computes it, which must not come back to here.
    del known[place]
    try:
        # A file that was touched, or written again with the same content, is the same.
        is_same = stamp is not None and taken.compute() == taken.content_id
    finally:
        known[place] = taken
    if not is_same:
        raise replaced(path)
    known[place] = replace(taken, stamp=stamp)


def replaced(path: Path) -> DataError:
    return DataError(f"{path} was replaced while it was read; start again")


def forget(path: Path) -> None:
    """The command itself writes this file."""
    known = _taken.get()
    if known:
        known.pop(path.absolute(), None)


def stamp_of(path: Path) -> Stamp | None:
    """By which a file is known to be as it was; None of one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
