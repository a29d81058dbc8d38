"""Progress of the layers below the command line: a callback object that is silent by default.

The command line passes a subclass that draws a bar on a terminal and writes log lines elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

MB = 1e6


class Sized(Protocol):
    """An array."""

    @property
    def nbytes(self) -> int: ...


Array = TypeVar("Array", bound=Sized)


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
