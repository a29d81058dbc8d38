"""Threads whose start ends, whatever the memory.

A thread that finds no memory to begin ends in silence, and `threading.Thread.start` waits for it
for ever.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

from avaffect.core.errors import MachineFault

BEGIN_S = 30.0


class Begun:
    """A thread that runs `target()`, and ends with the process.

    Raises MachineFault if it does not begin.
    """

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._begun, self._ended = threading.Event(), threading.Event()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError as error:
            raise _fault() from error
        if not self._begun.wait(BEGIN_S):
            raise _fault()

    def _run(self) -> None:
        self._begun.set()
        try:
            self._target()
        finally:
            self._ended.set()

    def join(self) -> None:
        """Wait for its end."""
        self._ended.wait()


def _fault() -> MachineFault:
    return MachineFault(
        "a thread cannot begin, probably for lack of memory; give this command more memory, or "
        "more processes and threads (`ulimit -u`), and run it again"
    )
