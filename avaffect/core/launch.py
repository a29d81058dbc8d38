"""How this process was started: alone, as a rank of torchrun or srun, or as a task of a Slurm job
array.

The launcher's environment variables are read only here, once, before anything is recorded or run: a
value such as `slurm` has another meaning in every task, and is not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from avaffect.core.errors import UsageError

T = TypeVar("T")

ARRAY_TASK = "slurm"


@dataclass(frozen=True)
class Launch:
    """Processes of this run: `rank` of this one (from 0), processes on each of `nodes`."""

    rank: int = 0
    per_node: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        return self.per_node * self.nodes

    @property
    def follows(self) -> bool:
        """True in all processes but the first, which prints and writes for all."""
        return self.rank != 0


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """The launch by torchrun or srun; otherwise a single process."""
    if "TORCHELASTIC_RUN_ID" in environment:
        local = int(environment.get("LOCAL_WORLD_SIZE", "1"))
        world = int(environment.get("WORLD_SIZE", "1"))
        return Launch(int(environment.get("RANK", "0")), local, world // local)
    # SLURM_STEP_NUM_TASKS is set by srun for its step; sbatch's own shell has no such step.
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if "SLURM_PROCID" in environment and tasks > 1:
        nodes = int(environment.get("SLURM_STEP_NUM_NODES", "1"))
        return Launch(int(environment["SLURM_PROCID"]), tasks // nodes, nodes)
    return Launch()


def host() -> str:
    """The name of this machine, for messages."""
    import socket

    return socket.gethostname()


@dataclass(frozen=True)
class Shard:
    """The `index`-th (from 0) of `count` contiguous parts."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """This shard's part; sizes of shards differ by at most one."""
        start = len(items) * self.index // self.count
        stop = len(items) * (self.index + 1) // self.count
        return items[start:stop]


def parse_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """`I/N` with 0 <= I < N, or `slurm`: this task's place in its Slurm job array.

    Raises UsageError for anything else, and for an array whose tasks are numbered with gaps.
    """
    if text is None:
        return None
    if text == ARRAY_TASK:
        return _array_task(environment)
    index, slash, count = text.partition("/")
    if not slash or not _is_number(index) or not _is_number(count):
        raise UsageError(f"--shard {text}: expected I/N, for example 0/8 for the first of 8")
    shard = Shard(int(index), int(count))
    if shard.index >= shard.count:
        raise UsageError(f"--shard {text}: I must be between 0 and N - 1")
    return shard


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _array_task(environment: Mapping[str, str]) -> Shard:
    def number(name: str, default: str | None = None) -> int:
        text = environment.get(name, default)
        if text is None:
            raise UsageError(
                f"--shard slurm: {name} is not set; run it in a Slurm job array "
                "(sbatch --array=0-7), or name the shard as I/N"
            )
        if not _is_number(text):
            raise UsageError(f"--shard slurm: {name} is {text!r}, not a number")
        return int(text)

    task = number("SLURM_ARRAY_TASK_ID")
    first = number("SLURM_ARRAY_TASK_MIN", "0")
    count = number("SLURM_ARRAY_TASK_COUNT")
    step = number("SLURM_ARRAY_TASK_STEP", "1") or 1
    last = number("SLURM_ARRAY_TASK_MAX", str(first + (count - 1) * step))
    index, between = divmod(task - first, step)
    if between or last != first + (count - 1) * step or not 0 <= index < count:
        raise UsageError(
            f"--shard slurm: the {count} tasks of this array are numbered with gaps (this one "
            f"{task}, from {first} to {last}); use --array=0-{max(count - 1, 0)}, or name the "
            "shard as I/N"
        )
    return Shard(index, count)


def shard_text(text: str | None) -> str | None:
    """The shard as I/N, as it is recorded."""
    shard = parse_shard(text)
    return None if shard is None else str(shard)
