"""How this process was started: alone, as a rank of torchrun or srun, or as a task of a Slurm job
array.

The launcher's environment variables are read only here, once, before anything is recorded or run: a
value such as `slurm` has another meaning in every task, and is not recorded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from avaffect.core.errors import UsageError
from avaffect.core.nouns import count_of

T = TypeVar("T")

ARRAY_TASK = "slurm"


# Ports below those that Linux gives to connections; few steps of a Slurm job run at a time.
_PORTS = range(15000, 32000)
_STEPS_OF_A_JOB = 7


@dataclass(frozen=True)
class Launch:
    """Processes of this run.

    rank     of this process among all, from 0
    local    its place among those of its node, from 0; node: the place of that, of `nodes`
    address  host and port where rank 0 waits for the others
    task     whether it is a task of srun, which may see no GPU but its own
    """

    rank: int = 0
    processes: int = 1
    local: int = 0
    node: int = 0
    nodes: int = 1
    address: str = "127.0.0.1"
    port: int = _PORTS[0]
    task: bool = False

    @property
    def follows(self) -> bool:
        """True in all processes but the first, which prints and writes for all."""
        return self.rank != 0


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """The launch by torchrun or srun; otherwise a single process."""

    def number(name: str, default: int = 0) -> int:
        return int(environment.get(name, default))

    address = environment.get("MASTER_ADDR", "127.0.0.1")
    if "TORCHELASTIC_RUN_ID" in environment:
        processes, node = number("WORLD_SIZE", 1), number("GROUP_RANK")
        nodes, port = processes // number("LOCAL_WORLD_SIZE", 1), number("MASTER_PORT", _PORTS[0])
        return Launch(number("RANK"), processes, number("LOCAL_RANK"), node, nodes, address, port)
    # SLURM_STEP_NUM_TASKS is set by srun for its step; sbatch's own shell has no such step.
    tasks, nodes = number("SLURM_STEP_NUM_TASKS", 1), number("SLURM_STEP_NUM_NODES", 1)
    if "SLURM_PROCID" not in environment or tasks == 1:
        return Launch()
    if nodes > 1 and "MASTER_ADDR" not in environment:
        address = _first_host(environment.get("SLURM_STEP_NODELIST", address))
    # Steps and jobs that run beside each other on a node have other ports.
    place = _STEPS_OF_A_JOB * number("SLURM_JOB_ID") + number("SLURM_STEP_ID")
    port = number("MASTER_PORT", _PORTS[place % len(_PORTS)])
    local, node = number("SLURM_LOCALID"), number("SLURM_NODEID")
    return Launch(number("SLURM_PROCID"), tasks, local, node, nodes, address, port, task=True)


def _first_host(hosts: str) -> str:
    """The first of a list of hosts as Slurm writes it: node[03-05,9],other -> node03."""
    return re.sub(r"\[(\d+)[^]]*]", r"\1", hosts).split(",")[0]


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


def part_of(text: str | None, items: Sequence[T]) -> Sequence[T]:
    """The items of the shard `text`, as `parse_shard` reads it; all of them for None."""
    shard = parse_shard(text)
    return items if shard is None else shard.of(items)


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
            f"--shard slurm: the {count_of(count, 'task')} of this array with gaps in their "
            f"numbers (this one {task}, from {first} to {last}); use "
            f"--array=0-{max(count - 1, 0)}, or name the shard as I/N"
        )
    return Shard(index, count)


def shard_text(text: str | None) -> str | None:
    """The shard as I/N, as it is recorded."""
    shard = parse_shard(text)
    return None if shard is None else str(shard)
