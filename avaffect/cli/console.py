"""The console: messages and progress on standard error, data on standard output.

A bar on a terminal; elsewhere (a log file of a cluster job) one line per interval.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any

from avaffect.cli import interruption
from avaffect.cli.bar import Task, bar_line, log_line
from avaffect.core.progress import Progress
from avaffect.core.shown import on_one_line
from avaffect.core.table import Table

LOG_INTERVAL_S = 30.0
REDRAW_S = 0.1
ERASE_TO_END = "\x1b[K"


class ConsoleProgress(Progress):
    """Progress on standard error; quiet (-q) keeps warnings alone, verbose (-v) adds details.
    follows: another rank says the same, this one nothing.

    Tasks nest: the bar is that of the task started last.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False, follows: bool = False) -> None:
        self.quiet = quiet = quiet or follows
        self.verbose = verbose
        self._follows = follows
        self._tasks: list[Task] = []
        # Steps of one command may find the same.
        self._warned: set[str] = set()
        self._draws = not quiet and _has_cursor(sys.stderr)
        self._drawn = -math.inf
        self._logged = time.monotonic()

    def start(
        self, what: str, total: float | None = None, unit: str = "utterances", done: float = 0
    ) -> None:
        if not self._tasks:
            self._logged = time.monotonic()
        self._tasks.append(Task(what, total, unit, done, done))
        self._show(at_once=True)

    def check(self) -> None:
        interruption.check()

    def advance(self, count: float = 1, **facts: object) -> None:
        self.check()
        if self._tasks:
            self._tasks[-1].advance(count, facts)
            self._show()

    def finish(self) -> None:
        if not self._tasks:
            return
        self._tasks.pop()
        if self._tasks:
            self._show(at_once=True)
        else:
            self._erase()

    def close(self) -> None:
        """End all tasks, with the command."""
        self._tasks.clear()
        self._erase()

    def say(self, message: str) -> None:
        if not self.quiet:
            self._line(message)

    def detail(self, message: str) -> None:
        if self.verbose and not self.quiet:
            self._line(message)

    def warn(self, message: str) -> None:
        if not self._follows and message not in self._warned:
            self._warned.add(message)
            self._line(f"avaffect: warning: {message}")

    def _line(self, message: str) -> None:
        self._erase()
        print(on_one_line(message), file=sys.stderr, flush=True)
        if self._tasks:
            self._show(at_once=True)

    def _show(self, at_once: bool = False) -> None:
        """Draw the bar, or write a line of the log, if it is due."""
        now = time.monotonic()
        if self._draws:
            if at_once or now - self._drawn >= REDRAW_S:
                self._drawn = now
                line = on_one_line(bar_line(self._tasks[-1], now, _columns() - 1, _utf8()))
                sys.stderr.write(f"\r{line}{ERASE_TO_END}")
                sys.stderr.flush()
        elif not self.quiet and now - self._logged >= LOG_INTERVAL_S:
            self._logged = now
            print(on_one_line(log_line(self._tasks, now)), file=sys.stderr, flush=True)

    def _erase(self) -> None:
        if self._draws and self._drawn > -math.inf:
            self._drawn = -math.inf
            sys.stderr.write(f"\r{ERASE_TO_END}")
            sys.stderr.flush()


def _has_cursor(stream: Any) -> bool:
    """Whether a line can be overwritten: a terminal with a movable cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _utf8() -> bool:
    return "utf" in (sys.stderr.encoding or "").lower()


def colour_wanted(stream: Any) -> bool:
    """Whether to use colour: on a terminal, unless NO_COLOR or TERM=dumb is set."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_table(table: Table) -> None:
    """A table on standard output: drawn on a terminal, tab-separated in a pipe. A row is one line,
    whatever a name holds."""
    if not sys.stdout.isatty():
        for cells in (table.columns, *table.rows):
            print("\t".join(map(on_one_line, cells)))
        return
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(
        title=table.title,
        title_justify="left",
        header_style="bold",
        caption=table.note or None,
        caption_justify="left",
    )
    for position, column in enumerate(table.columns):
        # As text: rich would take brackets in a name for its own.
        drawn.add_column(Text(on_one_line(column)), justify="left" if position == 0 else "right")
    for row in table.rows:
        drawn.add_row(*(Text(on_one_line(cell)) for cell in row))
    Console(no_color=not colour_wanted(sys.stdout)).print(drawn)
