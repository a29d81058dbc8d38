"""What people see: words and progress on standard error, data on standard output.

A bar on a terminal; elsewhere (a log file of a cluster job) one line per interval.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from avaffect.cli import interruption
from avaffect.core.progress import Progress

LOG_INTERVAL_S = 30.0


class ConsoleProgress(Progress):
    """Progress on standard error; quiet (-q) keeps warnings alone, verbose (-v) adds details."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._bar: Any = None
        self._what = ""
        self._total: int | None = None
        self._unit = ""
        self._done = 0
        self._started = self._logged = 0.0

    def start(self, what: str, total: int | None = None, unit: str = "utterances") -> None:
        self.finish()
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._started = self._logged = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=what, unit=" " + unit, file=sys.stderr, leave=False,
                dynamic_ncols=True, ascii=not _utf8(),
            )  # fmt: skip

    def check(self) -> None:
        interruption.check()

    def advance(self, count: int = 1, **facts: object) -> None:
        self.check()
        self._done += count
        if self._bar is not None:
            if facts:
                self._bar.set_postfix({k: _short(v) for k, v in facts.items()}, refresh=False)
            self._bar.update(count)
        elif not self.quiet and time.monotonic() - self._logged >= LOG_INTERVAL_S:
            self._logged = time.monotonic()
            words = " ".join(f"{key}={_short(value)}" for key, value in facts.items())
            total = "" if self._total is None else f"/{self._total}"
            rate = self._done / max(self._logged - self._started, 1e-9)
            print(
                f"{self._what}: {self._done}{total} {self._unit}, {rate:.1f}/s {words}".rstrip(),
                file=sys.stderr,
                flush=True,
            )

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, message: str) -> None:
        if not self.quiet:
            self._line(message)

    def detail(self, message: str) -> None:
        if self.verbose and not self.quiet:
            self._line(message)

    def warn(self, message: str) -> None:
        self._line(f"avaffect: warning: {message}")

    def _line(self, message: str) -> None:
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        else:
            print(message, file=sys.stderr, flush=True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _utf8() -> bool:
    return "utf" in (sys.stderr.encoding or "").lower()


def colour_wanted(stream: Any) -> bool:
    """Colour only on a terminal that wants it (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on standard output: drawn on a terminal, tab-separated in a pipe."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(no_color=not colour_wanted(sys.stdout)).print(table)


def print_by_file(title: str, columns: list[str], rows: list[list[str]], files: int) -> None:
    """A table whose first column is the file: it is shown only where there are several."""
    if files > 1:
        print_table(title, columns, rows)
    else:
        print_table(title, columns[1:], [row[1:] for row in rows])


def headings(columns: list[str], words: dict[str, str]) -> list[str]:
    """Names of columns: in words for people, as they are for programs."""
    return [words.get(name, name) for name in columns] if sys.stdout.isatty() else columns


def score_text(value: float | None, spread: float | None = None) -> str:
    """Three decimals for people, six for programs; nothing for what is undefined."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if not sys.stdout.isatty():
        return f"{value:.6f}"
    return f"{value:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
