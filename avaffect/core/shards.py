"""`--shard I/N`: the I-th (from 0) of N contiguous parts, so that merging in order restores all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from avaffect.core.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    index: int
    count: int

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """This shard's part: sizes differ by one at most, order is kept."""
        start = len(items) * self.index // self.count
        stop = len(items) * (self.index + 1) // self.count
        return items[start:stop]


def parse_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """`I/N` with 0 <= I < N, or `slurm`: this task's place in its Slurm job array."""
    if text is None:
        return None
    if text == "slurm":
        try:
            index = int(environment["SLURM_ARRAY_TASK_ID"]) - int(
                environment.get("SLURM_ARRAY_TASK_MIN", "0")
            )
            return _checked(index, int(environment["SLURM_ARRAY_TASK_COUNT"]), text)
        except ValueError as error:
            raise UsageError(f"--shard slurm: a task number is none ({error})") from error
        except KeyError as error:
            raise UsageError(
                f"--shard slurm: {error.args[0]} is not set; run it in a Slurm job array "
                "(sbatch --array=0-7), or name the shard as I/N"
            ) from error
    index, slash, count = text.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal():
        raise UsageError(f"--shard {text}: expected I/N, for example 0/8 for the first of 8")
    return _checked(int(index), int(count), text)


def _checked(index: int, count: int, text: str) -> Shard:
    if not 0 <= index < count:
        raise UsageError(f"--shard {text}: I must be between 0 and N - 1")
    return Shard(index, count)
