"""Where a training stands, from its metrics file, which is read alone.

OUTPUT.metrics.jsonl    lines of losses and scores, as they happen
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.progress import MB, followed, megabytes_of
from avaffect.core.record import Record
from avaffect.recipes.monitoring.states import RUNNING, state_of
from avaffect.training.ending import parsed
from avaffect.training.state import metrics_path

TAGS = ("run", "seed", "fold")
# Of a line, what is no loss, metric or score.
PLACE = (*TAGS, "step", "epoch", "done", "seconds")
# A line of metrics has one of them.
KNOWN_BY = {"step", "epoch"}
# Of a place, and of a whole number: TensorBoard's steps have 64 bits.
LARGEST = 2**53
SPEED = ("learning_rate", "times_real_time")


@dataclass(frozen=True, kw_only=True)
class TrainingState(Record):
    """A training at one moment.

    output: the checkpoint that it makes. state: a word of `states`.
    tags: of the run and fold among several. done: share of all of them, from 0 to 1; left_s:
    seconds that the rest will take; None where the metrics do not tell. seconds: of training.
    training, development: the newest losses and metrics, and scores, by name.
    """

    output: str
    state: str
    tags: dict[str, int]
    step: int | None
    epoch: int | None
    done: float | None
    left_s: float | None
    seconds: float
    training: dict[str, float]
    development: dict[str, float]


def values_of(line: Mapping[str, Any], *without: str) -> dict[str, float]:
    """The losses, metrics or scores of a line."""
    return {
        name: float(value)
        for name, value in line.items()
        if name not in (*PLACE, *without) and isinstance(value, (int, float))
    }


def _numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    """What is a number in a line; a file of another program, or a damaged one, holds anything. A
    loss may be NaN, a place in the training is finite."""
    return {name: value for name, value in line.items() if _is_number(name, value)}


def _is_number(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    known = -LARGEST <= value <= LARGEST
    if name == "done":
        return 0 <= value <= 1
    return known or (isinstance(value, float) and name not in PLACE)


@dataclass(frozen=True)
class Line:
    """Of a metrics file. at_s: seconds of training by then, of all runs and processes."""

    values: dict[str, Any]
    at_s: float


@dataclass
class Followed:
    """A training whose metrics file is read as it grows."""

    output: Path
    # Bytes of whole lines that were read.
    read: int = 0
    # Whether a line was one of metrics.
    known: bool = False
    tags: dict[str, int] = field(default_factory=dict)
    # The newest lines, of steps and of scores.
    of_steps: dict[str, Any] = field(default_factory=dict)
    of_scores: dict[str, Any] = field(default_factory=dict)
    # Of one process and run: (done, seconds) of its first and its newest line that say so.
    first: tuple[float, float] | None = None
    newest: tuple[float, float] | None = None
    # Of the newest line; of the processes and runs before.
    seconds: float = 0.0
    before_s: float = 0.0

    @property
    def history(self) -> Path:
        return metrics_path(self.output)

    def news(self) -> tuple[list[Line], bool]:
        """The lines since the last call, and whether the file begins anew with them: a resumed
        training removes what it writes again.

        Raises DataError where no line of the file is one of metrics.
        """
        try:
            with self.history.open("rb") as stream:
                anew = stream.seek(0, 2) < self.read
                stream.seek(0 if anew else self.read)
                text = stream.read()
        except OSError:
            anew, text = self.read > 0, b""
        if anew:
            self.__init__(self.output)  # type: ignore[misc]
        # The last line may be half written.
        text = text[: text.rfind(b"\n") + 1]
        self.read += len(text)
        whole = text.splitlines(keepends=True)
        reading = followed(whole, f"read {self.history}", len(text) / MB, "MB", megabytes_of)
        lines = [_numbers(parsed(line)) for line in reading]
        self.known = self.known or any(KNOWN_BY & line.keys() for line in lines)
        if self.read and not self.known:
            raise DataError(
                f"{self.history} is not a metrics file: none of its lines has a step or an epoch; "
                "name the checkpoint of a training, or the .metrics.jsonl beside it"
            )
        return [self._take(line) for line in lines if line], anew

    def _take(self, line: dict[str, Any]) -> Line:
        tags = {name: line[name] for name in TAGS if name in line}
        seconds, done = float(line.get("seconds", 0.0)), line.get("done")
        if tags != self.tags or seconds < self.seconds:
            self.before_s += self.seconds
            self.first = self.newest = None
            self.of_scores = self.of_scores if tags == self.tags else {}
        self.tags, self.seconds = tags, seconds
        if done is not None:
            self.newest = (float(done), seconds)
            self.first = self.first or self.newest
        if "step" in line:
            self.of_steps = line
        else:
            self.of_scores = line
        return Line(line, self.before_s + self.seconds)

    def state(self, now: float) -> TrainingState:
        """now: seconds since the epoch."""
        state = state_of(self.output)
        line = max(self.of_steps, self.of_scores, key=lambda each: each.get("done", 0.0))
        return TrainingState(
            output=str(self.output), state=state, tags=self.tags,
            step=self.of_steps.get("step"), epoch=line.get("epoch"), done=line.get("done"),
            left_s=self._left(now) if state == RUNNING else None,
            seconds=round(self.before_s + self.seconds, 3),
            training=values_of(self.of_steps, *SPEED), development=values_of(self.of_scores),
        )  # fmt: skip

    def _left(self, now: float) -> float | None:
        """At the rate of this run since its first line, less what passed since its newest."""
        if self.first is None or self.newest is None or self.newest[0] <= self.first[0]:
            return None
        rate = (self.newest[1] - self.first[1]) / (self.newest[0] - self.first[0])
        try:
            passed = now - self.history.stat().st_mtime
        except OSError:
            passed = 0.0
        return round(max((1 - self.newest[0]) * rate - max(passed, 0.0), 0.0), 1)
