"""Two ranks of a training run, as torchrun starts them: forks of the test."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

FORK = multiprocessing.get_context("fork")


def on_two_ranks(work: Callable[..., None], *arguments: Any) -> None:
    """`work(rank, *arguments)` in a process for each of two ranks, until both have ended well."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    ranks = [FORK.Process(target=_on_rank, args=(r, port, work, arguments)) for r in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=200)
        assert process.exitcode == 0


def _on_rank(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(
        TORCHELASTIC_RUN_ID="x", RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    work(rank, *arguments)
