"""When a run saves: often enough to lose a minute at most, seldom enough to cost 1 % at most."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

INTERVAL_S = 45.0
LARGEST_SHARE = 0.01


class Pace:
    """Says when a state is to be saved, from how long the last saving took."""

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
