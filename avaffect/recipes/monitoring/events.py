"""Losses, metrics and scores of trainings as TensorBoard's event files, by its own writer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core.errors import UsageError, WriteError
from avaffect.core.writing import writing
from avaffect.recipes.monitoring.runs import SPEED, TAGS, Line, values_of
from avaffect.settings.monitor import NEEDS_TENSORBOARD

# At the end of the names of our files, which are written anew; others in the folder stay.
SUFFIX = ".avaffect"
VERSION = "brain.Event:2"
OURS = f"events.out.tfevents.*{SUFFIX}"


def check_tensorboard() -> None:
    """Raises UsageError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError(NEEDS_TENSORBOARD)


class Events:
    """The event files of one training: a folder, with one in it for each of several runs and folds.

    A line of a metrics file has no time of day: times are those of the file's last change, less the
    seconds that its lines tell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, Any] = {}
        # Of scores, which follow the steps that they belong to.
        self._step = 0
        self._remove_former()

    def write(self, lines: list[Line], changed: float) -> None:
        """Add the lines of a metrics file that was changed at this time, in seconds since the
        epoch. Raises WriteError where they cannot be written; then no file of ours is left."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        with self._or_nothing():
            for line in lines:
                self._step = int(line.values.get("step", self._step))
                found = tagged(line.values).items()
                values = [Summary.Value(tag=tag, simple_value=value) for tag, value in found]
                event = Event(
                    wall_time=changed - (lines[-1].at_s - line.at_s), step=self._step,
                    summary=Summary(value=values),
                )  # fmt: skip
                self._writer(line.values, changed).write(event.SerializeToString())
            for writer in self._writers.values():
                writer.flush()

    def close(self) -> None:
        with self._or_nothing():
            for writer in self._writers.values():
                writer.close()
        self._writers.clear()

    @contextlib.contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """A block that writes; where it cannot, our files are removed, and no more is written."""
        try:
            with writing(self.folder):
                yield
        except WriteError:
            for writer in self._writers.values():
                # What it still holds cannot be written either.
                with contextlib.suppress(Exception):
                    writer.close()
            self._writers.clear()
            self._remove_former()
            raise

    def begin_anew(self) -> None:
        """After a training that was resumed has removed lines."""
        self.close()
        self._step = 0
        self._remove_former()

    def _remove_former(self) -> None:
        for path in self.folder.rglob(OURS) if self.folder.is_dir() else ():
            path.unlink(missing_ok=True)

    def _writer(self, line: dict[str, Any], changed: float) -> Any:
        """The writer of a run and fold. TensorBoard's own of whole files writes in a thread, which
        prints its failures."""
        name = "-".join(f"{tag}{line[tag]}" for tag in TAGS if tag in line and tag != "seed")
        if name not in self._writers:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.summary.writer.record_writer import RecordWriter

            folder = self.folder / name
            folder.mkdir(parents=True, exist_ok=True)
            # Other than that of the file that it replaces: TensorBoard may be reading it.
            path = folder / f"events.out.tfevents.{time.time_ns()}{SUFFIX}"
            self._writers[name] = RecordWriter(path.open("wb"))
            first = Event(wall_time=changed, file_version=VERSION)
            self._writers[name].write(first.SerializeToString())
        return self._writers[name]


def tagged(line: dict[str, Any]) -> dict[str, float]:
    """training/NAME of a line of steps, development/NAME of scores, speed/NAME."""
    part = "training" if "step" in line else "development"
    values = values_of(line)
    return {f"{'speed' if name in SPEED else part}/{name}": value for name, value in values.items()}


def changed_at(path: Path) -> float:
    """When a file was last changed; now where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
