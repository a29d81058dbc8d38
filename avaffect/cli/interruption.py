"""Ctrl-C, a closed terminal and a scheduler's signals: they raise exceptions, so that temporary
files are removed.

The handler of a signal raises at an arbitrary place in Python. Libraries that call back into Python
(PyAV's resampler) may suppress the exception: it is raised again at the next update of progress.
"""

from __future__ import annotations

import signal
from types import FrameType

from avaffect.core.signals import PREEMPTION_SIGNALS


class Terminated(BaseException):
    """A signal, by its number, outside training."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


RAISED = (signal.SIGINT, signal.SIGHUP, *PREEMPTION_SIGNALS)
_pending: list[int] = []


def install() -> None:
    """Handle the signals from now on."""
    _pending.clear()
    for number in RAISED:
        signal.signal(number, _handle)


def check() -> None:
    """Raise the exception of a signal again if a library has suppressed it."""
    if _pending:
        raise _ending(_pending[0])


def _handle(number: int, frame: FrameType | None) -> None:
    _pending.append(number)
    raise _ending(number)


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
