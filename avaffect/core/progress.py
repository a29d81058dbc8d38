"""Progress of the layers below the command line: a callback object that is silent by default.

The command line passes a subclass that draws a bar on a terminal and writes log lines elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Progress:
    """Silent progress. Every method may be called at any time, in any order.

    Tasks nest: `advance` counts for the task begun last; `finish` brings back the one around it.
    """

    def check(self) -> None:
        """Raise here what a signal raised where a library swallowed it."""

    def start(
        self, what: str, total: float | None = None, unit: str = "utterances", done: float = 0
    ) -> None:
        """Begin a task of `total` units (None: unknown), of which `done` were done earlier."""

    def advance(self, count: float = 1, **facts: object) -> None:
        """`count` more units are done; `facts` are short values worth showing (loss, lost)."""

    def finish(self) -> None:
        """The task begun last is over."""

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
        """One line that a user wants to see unless told to be quiet."""

    def detail(self, message: str) -> None:
        """One line for those who asked for more (`-v`)."""

    def warn(self, message: str) -> None:
        """One line about something that may spoil the result; shown even when quiet."""


SILENT = Progress()
