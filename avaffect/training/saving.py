"""Intervals of saving: a minute of work lost at most, 1 % of the time spent at most."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

from avaffect.core.threads import Begun

INTERVAL_S = 45.0
LARGEST_SHARE = 0.01


class Pace:
    """Decides when to save a state, from the cost of the last saving."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._cost = 0.0

    def due(self, ahead_s: float = 0.0) -> bool:
        """Whether to save now; ahead_s: how long the next step may take, before the next look."""
        passed = time.monotonic() - self._since
        return passed + ahead_s >= INTERVAL_S and passed >= self._cost / LARGEST_SHARE

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """A block that saves."""
        begun = time.monotonic()
        yield
        self._since = time.monotonic()
        self._cost = self._since - begun

    def add(self, seconds: float) -> None:
        """Add to the cost of the last saving."""
        self._cost += seconds


class Writer:
    """Writes in the background, one file after another: a disk is slower than a model.

    Its processor time is counted by `pace`; time of waiting for the disk is not.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._thread: Begun | None = None
        self._failure: Exception | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin `work()`, once the work before it is done."""
        self.wait()
        self._thread = Begun(functools.partial(self._run, work))

    def _run(self, work: Callable[[], None]) -> None:
        begun = time.thread_time()
        try:
            work()
        except Exception as error:
            self._failure = error
        self.pace.add(time.thread_time() - begun)

    def wait(self) -> None:
        """Return when everything is written; raises the errors of the writing."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
