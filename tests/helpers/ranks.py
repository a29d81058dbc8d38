"""Two ranks of a training run, as torchrun starts them: forks of the test."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess, SpawnProcess
from typing import Any

# On a loaded machine.
PATIENCE_S = 240
FORK = multiprocessing.get_context("fork")
# Processes that know nothing of what other tests cached.
SPAWN = multiprocessing.get_context("spawn")


def on_two_ranks(work: Callable[..., None], *arguments: Any, fresh: bool = False) -> None:
    """`work(rank, *arguments)` in a process for each of two ranks, until both have ended well.

    fresh: in new processes, in place of forks of the test.
    """
    port, context = unused_port(), SPAWN if fresh else FORK
    _join([context.Process(target=_on_rank, args=(r, port, work, arguments)) for r in (0, 1)])


def by_itself(work: Callable[..., None], *arguments: Any) -> None:
    """`work(*arguments)` in a new process."""
    _join([SPAWN.Process(target=work, args=arguments)])


def _join(processes: Sequence[ForkProcess | SpawnProcess]) -> None:
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(PATIENCE_S)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()


def unused_port() -> int:
    """A port below those that connections of other programs get, which may come before the ranks
    have begun."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as unused, contextlib.suppress(OSError):
            unused.bind(("127.0.0.1", port))
            return port


def _on_rank(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(
        TORCHELASTIC_RUN_ID="x", RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    work(rank, *arguments)
