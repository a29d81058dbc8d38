"""Preemption: TERM, USR1 and USR2 only set a flag, which training looks at between steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

PREEMPTION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class PreemptionFlag:
    """`raised` holds the name of the signal that came, or None."""

    def __init__(self) -> None:
        self.raised: str | None = None

    def __bool__(self) -> bool:
        return self.raised is not None


@contextlib.contextmanager
def preemption_flag() -> Iterator[PreemptionFlag]:
    """While the block runs, preemption signals set the flag instead of ending the process."""
    flag = PreemptionFlag()
    # Handlers belong to the main thread; elsewhere (a test, a notebook) there is only the flag.
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handler(number: int, frame: object) -> None:
        flag.raised = signal.Signals(number).name

    before = {number: signal.signal(number, handler) for number in PREEMPTION_SIGNALS}
    try:
        yield flag
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
