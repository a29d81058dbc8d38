"""Backends of joblib by name: work that an engine beyond this process carries."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from typing import TypeVar

from avaffect.core.errors import MachineFault, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Processes of this machine, which `workers` runs without joblib's loop.
LOKY = "loky"
# Tasks of each worker that a backend is given together: all their results may wait for the first.
TASKS = 16
DASK = "dask"
# Not results one by one, but all at the end.
GIVES_ALL = {"multiprocessing"}
ADDRESS = re.compile(r"\w+://.+:\d+")
# Modules whose errors are of a backend, not of the work.
OF_BACKENDS = ("distributed", "joblib", "ray")


def backend_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int, backend: str
) -> Generator[Result, None, None]:
    """function(task) for each task, in order, by a backend of joblib: NAME or NAME:ADDRESS.

    The function is a part of avaffect, which is installed wherever the backend has workers. jobs:
    their number; -1: as many as there are. Raises UsageError for a backend that joblib does not
    know or that lacks its package or address, MachineFault where it has no workers or loses one.
    """
    import joblib

    name, _, address = backend.partition(":")
    _check(name, address)
    options = {"scheduler_host": address} if address else {}
    remaining = iter(tasks)
    with _explained(backend), joblib.parallel_config(name, n_jobs=jobs, **options):
        count = joblib.effective_n_jobs(jobs)
        parallel = joblib.Parallel(return_as="generator", batch_size=1, pre_dispatch="all")
    while window := list(islice(remaining, TASKS * count)):
        found = parallel(joblib.delayed(function)(task) for task in window)
        with _lost(backend), contextlib.closing(found) as done:
            yield from done


def _check(name: str, address: str) -> None:
    from joblib.parallel import BACKENDS, EXTERNAL_BACKENDS

    known = sorted({*BACKENDS, *EXTERNAL_BACKENDS} - GIVES_ALL)
    if name not in known:
        raise UsageError(f"--backend {name}: choose one of {', '.join(known)}")
    if name != DASK and address:
        raise UsageError(f"--backend {name}:{address}: an address goes with {DASK}")
    if name == DASK and find_spec("distributed") is None:
        raise UsageError(f"--backend {name} needs Dask: python -m pip install distributed")
    if name == DASK and not ADDRESS.fullmatch(address):
        given = f"{name}:{address}" if address else name
        raise UsageError(
            f"--backend {given}: give the address of its scheduler, such as {name}:tcp://HOST:8786"
        )


@contextlib.contextmanager
def _explained(backend: str) -> Iterator[None]:
    """What a user can act on, in place of the errors of a backend that does not begin."""
    try:
        yield
    except (ImportError, ValueError, TypeError) as error:
        raise UsageError(f"--backend {backend}: {_first_sentence(error)}") from error
    except OSError as error:
        raise MachineFault(
            f"--backend {backend}: {_first_sentence(error)}: start its scheduler and workers, or "
            "correct the address"
        ) from error


def _first_sentence(error: Exception) -> str:
    words = (str(error) or type(error).__name__).splitlines()[0]
    return words.partition(". ")[0].rstrip(".")


@contextlib.contextmanager
def _lost(backend: str) -> Iterator[None]:
    """Raises MachineFault in place of an error of the backend itself."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in OF_BACKENDS:
            raise
        raise MachineFault(
            f"--backend {backend}: {type(error).__name__}: {error}; the same command goes on"
        ) from error
