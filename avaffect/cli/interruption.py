"""Ctrl-C, a closed terminal and a scheduler's signals: they raise exceptions, so that temporary
files are removed.

The handler of a signal raises at an arbitrary place in Python. Libraries that call back into Python
(PyAV's resampler) may suppress the exception: it is raised again at the next update of progress, or
by the next signal. In finalisers and callbacks of weak references, which importlib has, Python
suppresses it: the signal is sent again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from types import FrameType

from avaffect.core import errors, signals


class Terminated(BaseException):
    """A signal, by its number, where no state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Interrupt(KeyboardInterrupt):
    """Ctrl-C; unlike its base, it can be referred to weakly."""


# Long enough to leave the finaliser.
RETRY_S = 0.01
# So many times in turn the exception was there: it ends the work.
HEARD = 3
# In which the hook for suppressed exceptions runs: Python suppresses those of the hook, too.
_hook_thread: int | None = None
_pending: list[int] = []
_raised: weakref.ref[BaseException] | None = None
_show_others = sys.unraisablehook


def install() -> None:
    """Handle the signals from now on."""
    global _show_others
    _pending.clear()
    signals.forget()
    if sys.unraisablehook is not _suppressed:
        _show_others, sys.unraisablehook = sys.unraisablehook, _suppressed
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
    if _hook_thread == threading.get_ident():
        return
    _pending.append(number)
    # While that of an earlier signal exists, the work is ending.
    if signals.repeated(number) and _raised is not None and _raised() is not None:
        return
    raise _ending(number)


def _ending(number: int) -> BaseException:
    global _raised
    found = _Interrupt() if number == signal.SIGINT else Terminated(number)
    _raised = weakref.ref(found)
    return found


def _suppressed(unraisable: sys.UnraisableHookArgs) -> None:
    """Send the signal again whose exception Python suppresses."""
    global _hook_thread
    stop = unraisable.exc_value
    if not isinstance(stop, (Terminated, _Interrupt)):
        _show_others(unraisable)
        return
    _hook_thread = threading.get_ident()
    try:
        number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
        _pending.clear()
        signals.forget()
        threading.Thread(target=_send, args=(number,), daemon=True).start()
    finally:
        _hook_thread = None


def _send(number: int) -> None:
    """Until its exception stays. That of a signal in this hook is suppressed too, and is gone."""
    times = 0
    while times < HEARD and signal.getsignal(number) is _handle:
        time.sleep(RETRY_S)
        if _raised is not None and _raised() is not None:
            times += 1
        else:
            times = 0
            os.kill(os.getpid(), number)
