"""Ctrl-C, SIGTERM and the terminal's end: they unwind, so that temporary files are removed.

A signal's handler raises where Python happens to be. Libraries that call back into Python (PyAV's
resampler) swallow what is raised there: it is therefore raised again at the next tick of progress.
"""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(BaseException):
    """SIGTERM or SIGHUP, outside training."""


RAISED: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGHUP: Terminated,
}
_pending: list[type[BaseException]] = []


def install() -> None:
    """Handle the signals from now on."""
    _pending.clear()
    for number in RAISED:
        signal.signal(number, _handle)


def check() -> None:
    """Raise what a signal has raised before and a library has swallowed."""
    if _pending:
        raise _pending[0]


def _handle(number: int, frame: FrameType | None) -> None:
    _pending.append(RAISED[number])
    raise RAISED[number]
