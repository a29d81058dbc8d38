"""Rows that take long to compute, saved in a run's state folder as they are computed.

Before training, and between its epochs, models are applied to many utterances: a run that is killed
there computes the unsaved rows again, a minute's worth at most. A row is a function of its
utterance's batch alone, so that kept rows are bit for bit equal to newly computed ones.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from avaffect.core.atomic import atomic_path
from avaffect.core.signals import StopFlag
from avaffect.training.saving import INTERVAL_S, Pace

SUFFIX = ".rows"
# Seconds of work that are worth a file at its end.
WORTH_S = 10.0


class Spool:
    """The rows of a task, by their numbers. A row is an array; all have the same shape but for the
    first axis.

    folder: of this task alone, removed by `remove`. writes: False in all ranks but the first.
    """

    def __init__(
        self,
        folder: Path,
        flag: StopFlag,
        warn: Callable[[str], None],
        writes: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.flag, self.writes, self.check = folder, flag, writes, check
        self.pace = Pace()
        self._fresh: dict[int, np.ndarray] = {}
        self._place: dict[int, Path] = {}
        self._read: tuple[Path | None, dict[int, np.ndarray]] = None, {}
        # The last version of a row that was written twice counts.
        for path in sorted(folder.glob("*" + SUFFIX), key=lambda path: int(path.stem)):
            rows = _load(path)
            if rows is None:
                warn(f"{path} is damaged: its content is computed again")
            else:
                self._place |= dict.fromkeys(rows, path)
        self._next = 1 + max((int(p.stem) for p in self._place.values()), default=-1)

    def get(self, numbers: Sequence[int]) -> list[np.ndarray] | None:
        """Rows that were kept by an earlier process; None where one of them was not."""
        if not all(number in self._place for number in numbers):
            return None
        return [self._row(number) for number in numbers]

    def of(
        self, numbers: np.ndarray, compute: Callable[[np.ndarray], list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Rows that were kept, or else the result of `compute(numbers)`, kept from now on."""
        rows = self.get(numbers.tolist())
        if rows is None:
            with self.flag.steps():
                rows = compute(numbers)
                self.add(numbers.tolist(), rows)
        return rows

    def _row(self, number: int) -> np.ndarray:
        path = self._place[number]
        if self._read[0] != path:
            # Rows come in the order in which they were kept: one file at a time is enough.
            self._read = path, _load(path) or {}
        return self._read[1][number]

    def add(self, numbers: Sequence[int], rows: Sequence[np.ndarray]) -> None:
        """Computed rows; written where it is time.

        Raises Preempted or Interrupted, with all rows saved, after a signal to stop.
        """
        with self.flag.steps():
            if self.writes:
                self._fresh |= dict(zip(numbers, rows))
                if self.due:
                    self._write()
            if self.flag:
                self.flag.stop(f"while computing {self.folder.name.replace('-', ' ')}")

    @property
    def due(self) -> bool:
        """Whether rows would be written now."""
        return bool(self.flag) or self.pace.due()

    def close(self) -> None:
        """All rows are computed: the rest is written, where it took long."""
        if self.writes and self.pace.due(INTERVAL_S - WORTH_S):
            self._write()

    def _write(self) -> None:
        if not self._fresh:
            return
        self.check()
        with self.flag.steps(), self.pace.saving():
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self._next}{SUFFIX}"
            with atomic_path(path) as temporary:
                _save(temporary, self._fresh)
            self._next += 1
            self._fresh = {}

    def remove(self) -> None:
        """The rows are not needed any more."""
        self._fresh, self._place = {}, {}
        if self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)


def _save(path: Path, rows: dict[int, np.ndarray]) -> None:
    parts = list(rows.values())
    facts = {"shape": list(parts[0].shape[1:])}
    tensors = {
        "numbers": np.array(list(rows), dtype=np.int64),
        "lengths": np.array([len(part) for part in parts], dtype=np.int64),
        "values": np.concatenate([np.ascontiguousarray(part).reshape(-1) for part in parts]),
    }
    text = json.dumps(facts)
    save_file(tensors, path, metadata={"facts": text, "digest": _digest(text, tensors)})


def _load(path: Path) -> dict[int, np.ndarray] | None:
    """The rows of a file; None where it is damaged or gone."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["digest"] != _digest(about["facts"], tensors):
            return None
        shape = json.loads(about["facts"])["shape"]
        ends = np.cumsum(tensors["lengths"] * int(np.prod(shape, dtype=np.int64)))
        parts = np.split(tensors["values"], ends[:-1])
        rows = [p.reshape(n, *shape) for p, n in zip(parts, tensors["lengths"].tolist())]
        return dict(zip(tensors["numbers"].tolist(), rows))
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, OverflowError):
        return None


def _digest(facts: str, tensors: dict[str, np.ndarray]) -> str:
    found = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        found.update(f"\0{name}\0{tensors[name].dtype}\0{tensors[name].shape}\0".encode())
        found.update(np.ascontiguousarray(tensors[name]).data)
    return found.hexdigest()
