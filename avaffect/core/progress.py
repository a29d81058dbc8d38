"""Progress of the layers below the command line: a callback object that is silent by default.

The command line passes a subclass that draws a bar on a terminal and writes log lines elsewhere.
Loops far below a recipe, such as that over the lines of a manifest, are `followed`: they find the
progress of their command by themselves, and say nothing unless they take long.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Protocol, TypeVar

MB = 1e6


class Sized(Protocol):
    """An array."""

    @property
    def nbytes(self) -> int: ...


Array = TypeVar("Array", bound=Sized)
T = TypeVar("T")
# A loop that takes no longer says nothing.
PATIENCE_S = 0.5
EVERY_S = 0.1


class Progress:
    """Silent progress. Every method may be called at any time, in any order.

    Tasks nest: `advance` applies to the task started last; `finish` returns to the task around it.
    """

    def check(self) -> None:
        """Raise again the exception of a signal that a library suppressed."""

    def start(
        self, what: str, total: float | None = None, unit: str = "utterances", done: float = 0
    ) -> None:
        """Start a task of `total` units (None: unknown), of which `done` were done earlier."""

    def advance(self, count: float = 1, **facts: object) -> None:
        """Report `count` more units; `facts`: short values to show (loss, skipped items)."""

    def finish(self) -> None:
        """End the task started last."""

    @contextlib.contextmanager
    def task(
        self, what: str, total: float | None = None, unit: str = "utterances", done: float = 0
    ) -> Iterator[None]:
        """A block that is a task."""
        self.start(what, total, unit, done)
        try:
            yield
        finally:
            self.finish()

    def say(self, message: str) -> None:
        """One line, shown unless --quiet."""

    def detail(self, message: str) -> None:
        """One line, shown with --verbose."""

    def warn(self, message: str) -> None:
        """One line about something that may impair the result; always shown."""


SILENT = Progress()


def counted(blocks: Iterable[Array], progress: Progress) -> Iterator[Array]:
    """The same arrays; each counts in the current task, whose unit is MB."""
    for block in blocks:
        yield block
        progress.advance(block.nbytes / MB)


def megabytes_of(text: bytes) -> float:
    """The size of a line, for `followed`."""
    return len(text) / MB


_of_command: ContextVar[Progress] = ContextVar("progress", default=SILENT)


@contextlib.contextmanager
def of_command(progress: Progress) -> Iterator[None]:
    """A block whose `followed` loops this progress is of; those of other threads are silent."""
    before = _of_command.set(progress)
    try:
        yield
    finally:
        _of_command.reset(before)


def followed(
    items: Iterable[T],
    what: str,
    total: float | None = None,
    unit: str = "items",
    size: Callable[[T], float] | None = None,
) -> Iterator[T]:
    """The same items, of a task of the current command from the moment on that they take long.

    total: units of all, None where unknown; size: units of an item, by default 1. What is done with
    an item may start no task that ends with a later one.
    """
    progress = _of_command.get()
    if progress is SILENT:
        yield from items
        return
    due, seen, shown, started = time.monotonic() + PATIENCE_S, 0.0, 0.0, False
    try:
        for item in items:
            yield item
            seen += 1 if size is None else size(item)
            now = time.monotonic()
            if now < due:
                continue
            due = now + EVERY_S
            if started:
                progress.advance(seen - shown)
            else:
                progress.start(what, total, unit, seen)
                started = True
            shown = seen
    finally:
        if started:
            progress.finish()
