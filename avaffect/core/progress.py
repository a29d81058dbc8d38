"""How layers below the command line report: a callback object that is silent by itself.

The command line passes a subclass that draws a bar on a terminal and writes log lines elsewhere.
"""

from __future__ import annotations


class Progress:
    """Silent progress. Every method may be called at any time, in any order."""

    def check(self) -> None:
        """Raise here what a signal raised where a library swallowed it."""

    def start(self, what: str, total: int | None = None, unit: str = "utterances") -> None:
        """Begin a task of `total` units (None: unknown)."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """`count` more units are done; `facts` are short values worth showing (loss, lost)."""

    def finish(self) -> None:
        """The task begun last is over."""

    def say(self, message: str) -> None:
        """One line that a user wants to see unless told to be quiet."""

    def detail(self, message: str) -> None:
        """One line for those who asked for more (`-v`)."""

    def warn(self, message: str) -> None:
        """One line about something that may spoil the result; shown even when quiet."""


SILENT = Progress()
