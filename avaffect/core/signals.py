"""Signals that stop training: it saves its state, and the same command resumes.

TERM, USR1 and USR2 come from a cluster's scheduler, HUP from a terminal that is closed, INT from
Ctrl-C. In work that is saved between its steps, a signal only sets a flag, which is checked after
the current step; elsewhere it ends the work at once, as a second Ctrl-C always does.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from avaffect.core.errors import Interrupted, Preempted

PREEMPTION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def heard(*more: int) -> list[int]:
    """The preemption signals and `more`, without SIGHUP where it was ignored when this process was
    started: `nohup` makes its command deaf to it."""
    deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [n for n in (*PREEMPTION_SIGNALS, *more) if n != signal.SIGHUP or not deaf]


_received: list[int] = []


def forget() -> None:
    """What was received belongs to other work."""
    _received.clear()


def repeated(number: int) -> bool:
    """Note a signal. True for a preemption signal that follows another: the work is ending already,
    and what cleans up and reports that must not be interrupted. Schedulers signal every process of
    a group, and again."""
    _received.append(number)
    return number != signal.SIGINT and len(_received) > 1


class StopFlag:
    """`raised` is the name of the signal, or None."""

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
        """In this block the work checks the flag between its steps, and signals only set it.

        A flag that was not checked ends the work after the block.
        """
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
        if self and not self._steps:
            self.stop()

    def received(self, number: int) -> None:
        """Handle a signal. Raises the exception that ends the work, outside `steps`."""
        again = number == signal.SIGINT and self.interrupted
        ending = repeated(number) and self.raised is not None
        self.raised = signal.Signals(number).name
        if again:
            raise KeyboardInterrupt
        if not self._steps and not ending:
            self.stop()

    def stop(self, where: str = "", interrupted: bool | None = None) -> None:
        """Raises Interrupted after Ctrl-C, otherwise Preempted; where: the current work."""
        kind = Interrupted if self.interrupted or interrupted else Preempted
        place = f" {where}" if where else ""
        raise kind(f"stopped by {self.raised or 'another rank'}{place}; the same command resumes")


@contextlib.contextmanager
def stop_flag(say: Callable[[str], None] = lambda words: None) -> Iterator[StopFlag]:
    """While the block runs, signals set the flag; `say` reports the first Ctrl-C."""
    flag = StopFlag()
    # Handlers need the main thread; elsewhere (a test, a notebook) the flag has none.
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handler(number: int, frame: object) -> None:
        if number == signal.SIGINT and not flag.interrupted:
            # A signal while a line is being printed must not cause a failure.
            with contextlib.suppress(RuntimeError):
                say("Ctrl-C: stopping after this step, and saving; a second Ctrl-C stops at once")
        flag.received(number)

    before = {number: signal.signal(number, handler) for number in heard(signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
