"""Signals that ask training to stop: it saves its state, and the same command resumes.

TERM, USR1 and USR2 come from a cluster's scheduler, INT from Ctrl-C. Where work is being done that
is saved between its steps, a signal only sets a flag, which is looked at after the step at hand;
anywhere else it ends the work at once. A second Ctrl-C always does.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from avaffect.core.errors import Interrupted, Preempted

PREEMPTION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopFlag:
    """`raised` holds the name of the signal that came, or None."""

    def __init__(self) -> None:
        self.raised: str | None = None
        self._steps = 0

    def __bool__(self) -> bool:
        return self.raised is not None

    @property
    def interrupted(self) -> bool:
        """Whether it was Ctrl-C."""
        return self.raised == "SIGINT"

    @contextlib.contextmanager
    def steps(self) -> Iterator[None]:
        """In this block the work looks at the flag between its steps, and no signal ends it.

        What nobody looked at ends the work after the block.
        """
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
        if self and not self._steps:
            self.stop()

    def heard(self, number: int) -> None:
        """A signal came. Raises what ends the work, where nothing looks at the flag."""
        again = number == signal.SIGINT and self.interrupted
        self.raised = signal.Signals(number).name
        if again:
            raise KeyboardInterrupt
        if not self._steps:
            self.stop()

    def stop(self, where: str = "", interrupted: bool | None = None) -> None:
        """Raises Interrupted after Ctrl-C, otherwise Preempted; where: what was being done."""
        kind = Interrupted if self.interrupted or interrupted else Preempted
        place = f" {where}" if where else ""
        raise kind(f"stopped by {self.raised or 'another rank'}{place}; the same command resumes")


@contextlib.contextmanager
def stop_flag(say: Callable[[str], None] = lambda words: None) -> Iterator[StopFlag]:
    """While the block runs, the signals go to the flag; `say` is told of the first Ctrl-C."""
    flag = StopFlag()
    # Handlers belong to the main thread; elsewhere (a test, a notebook) there is only the flag.
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handler(number: int, frame: object) -> None:
        if number == signal.SIGINT and not flag.interrupted:
            # A signal in the middle of a line that is being printed: it is not worth a failure.
            with contextlib.suppress(RuntimeError):
                say("Ctrl-C: stopping after this step, and saving; again stops at once")
        flag.heard(number)

    numbers = (*PREEMPTION_SIGNALS, signal.SIGINT)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield flag
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
