"""`monitor`: where trainings stand, from their metrics files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.recipes.common import pictures
from avaffect.recipes.monitoring.curves import Curves
from avaffect.recipes.monitoring.events import Events, changed_at, check_tensorboard
from avaffect.recipes.monitoring.finding import outputs
from avaffect.recipes.monitoring.runs import Followed, Line, TrainingState
from avaffect.settings.monitor import MonitorSettings


def monitor(settings: MonitorSettings, progress: Progress) -> list[TrainingState]:
    """Where each training stands now.

    Raises DataError where there is none, or a name can be that of none, UsageError without
    TensorBoard where its files are wanted.
    """
    watch = Watch(settings)
    try:
        found = watch.look()
    finally:
        watch.close()
    if not found:
        names = " ".join(map(str, settings.runs))
        raise DataError(f"{names}: no training has a name like this yet")
    return found


class Watch:
    """Trainings that are looked at again and again: those that a pattern comes to match, too."""

    def __init__(self, settings: MonitorSettings) -> None:
        if settings.tensorboard is not None:
            check_tensorboard()
        pictures.check(settings.plot)
        self.settings = settings
        self._followed: dict[Path, Followed] = {}
        self._events: dict[Path, Events] = {}
        self._curves = Curves()

    def look(self) -> list[TrainingState]:
        """Read what is new."""
        for path in outputs(self.settings.runs):
            self._followed.setdefault(path, Followed(path))
        for path, followed in self._followed.items():
            lines, anew = followed.news()
            if self.settings.tensorboard is not None:
                self._write(self.settings.tensorboard, path, lines, anew)
            if self.settings.plot is not None:
                self._curves.add(path, lines, anew)
        now = time.time()
        return [followed.state(now) for followed in self._followed.values()]

    def close(self) -> None:
        for events in self._events.values():
            events.close()
        if self.settings.plot is not None and self._curves:
            self._curves.draw(self.settings.plot)

    def _write(self, folder: Path, path: Path, lines: list[Line], anew: bool) -> None:
        if path not in self._events:
            self._events[path] = Events(folder / _name(path, list(self._followed)))
        events = self._events[path]
        if anew:
            events.begin_anew()
        events.write(lines, changed_at(self._followed[path].history))


def _name(path: Path, among: Sequence[Path]) -> Path:
    """The end of a path that tells it from the others, without its suffix."""
    parts = path.resolve().with_suffix("").parts
    others = [each.resolve().with_suffix("").parts for each in among if each != path]
    for length in range(1, len(parts)):
        if all(other[-length:] != parts[-length:] for other in others):
            return Path(*parts[-length:])
    return Path(path.name)
