"""Ctrl-C, a closed terminal and a scheduler's signals: they raise exceptions, so that temporary
files are removed.

The handler of a signal raises at an arbitrary place in Python. Libraries that call back into Python
(PyAV's resampler) may suppress the exception: it is raised again at the next update of progress.
"""

from __future__ import annotations

import signal
from types import FrameType

from avaffect.core import errors, signals


class Terminated(BaseException):
    """A signal, by its number, where no state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_pending: list[int] = []


def install() -> None:
    """Handle the signals from now on."""
    _pending.clear()
    signals.forget()
    for number in signals.heard(signal.SIGINT):
        signal.signal(number, _handle)


def finish() -> None:
    """From now on the work is done, and its status stands whatever a scheduler says."""
    for number in signals.PREEMPTION_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def status_of(error: BaseException) -> int | None:
    """The exit status where a signal is behind an exception; None where none is.

    Python before 3.12 raises a RuntimeError from what a signal raised while a class was made.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, Terminated):
            return errors.PREEMPTED
        if isinstance(found, KeyboardInterrupt):
            return errors.INTERRUPTED
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def check() -> None:
    """Raise the exception of a signal again if a library has suppressed it."""
    if _pending:
        raise _ending(_pending[0])


def _handle(number: int, frame: FrameType | None) -> None:
    _pending.append(number)
    if signals.repeated(number):
        return
    raise _ending(number)


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
