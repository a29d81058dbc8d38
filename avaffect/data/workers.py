"""A pool of processes: results in order, few tasks in flight, no orphaned processes.

joblib's own loop would accumulate finished results, and its cancellation has a race; its executor
is used directly instead.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, TypeVar

from avaffect.core.errors import MachineFault
from avaffect.core.threads import Begun
from avaffect.data.backends import LOKY, backend_map

# Imported with the first process: few recordings need none.
if TYPE_CHECKING:
    from joblib.externals.loky import ProcessPoolExecutor

Task = TypeVar("Task")
Result = TypeVar("Result")

# Started tasks a process: more would wait in the executor's queue, where they cannot be cancelled.
BEGUN = 2
# Tasks a process whose results may wait for an earlier, longer one.
AHEAD = 16
WATCH_S = 0.5
SETTLE_S = 1.0
# In loky's message on the end of a worker.
KILLED = "SIGKILL"


def ordered_map(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    jobs: int,
    crashed: Callable[[Task], Result],
    backend: str | None = None,
) -> Generator[Result, None, None]:
    """function(task) for each task, in order, by `jobs` processes; in this process if jobs is 1;
    by a `backend` of joblib where it is another than loky, see `backend_map`.

    At most AHEAD x jobs tasks are ahead of the awaited result. If a process dies (a bug of a
    decoder, lack of memory), its tasks are repeated one by one; for a task that crashes its process
    again the result is `crashed(task)`. Closing the iterator ends the processes.

    Raises MachineFault if that process was killed (SIGKILL: the system is short of memory), or if
    no process can be started.
    """
    if backend not in (None, LOKY):
        yield from backend_map(function, tasks, jobs, backend)
        return
    if jobs == 1:
        yield from map(function, tasks)
        return
    crew, rescue = _Crew(jobs), _Crew(1)
    window: deque[tuple[Task, Future[Result]]] = deque()
    remaining = iter(tasks)
    try:
        while True:
            begun = [future for _, future in window if not future.done()]
            room = min(BEGUN * jobs - len(begun), AHEAD * jobs - len(window))
            fresh = list(islice(remaining, room))
            window.extend((task, crew.submit(function, task)) for task in fresh)
            if not window:
                return
            if not window[0][1].done():
                crew.wait([future for _, future in window if not future.done()])
                continue
            task, future = window.popleft()
            try:
                result = future.result()
            except BrokenProcessPool:
                result = _again(rescue, function, task, crashed)
            yield result
    finally:
        _settle([future for _, future in window])
        crew.end()
        rescue.end()


def _settle(futures: list[Future[Result]]) -> None:
    """Wait until the executor's thread has distributed its tasks: it fails if it is ended
    before."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if all(future.running() or future.done() for future in futures):
            return
        time.sleep(0.001)


def _again(
    rescue: _Crew, function: Callable[[Task], Result], task: Task, crashed: Callable[[Task], Result]
) -> Result:
    try:
        return rescue.result(function, task)
    except BrokenProcessPool as error:
        if KILLED in str(error):
            raise MachineFault(
                f"{task}: its process was killed twice, probably for lack of memory; give it more "
                "memory, or let fewer processes run at once, and run the same command again"
            ) from error
    try:
        rescue.result(os.getpid)
    except BrokenProcessPool as error:
        raise MachineFault(
            f"no process can be started to decode {task} ({error}); give it more memory, or let "
            "fewer processes run at once, and run the same command again"
        ) from error
    return crashed(task)


class _Crew:
    """An executor that is started on use, and again after it has failed."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Result], *task: Any) -> Future[Result]:
        try:
            if self._pool is not None:
                return self._pool.submit(function, *task)
        except BrokenProcessPool:
            self.end()
        from joblib.externals.loky import ProcessPoolExecutor

        with _without_interrupts():
            self._pool = ProcessPoolExecutor(self.jobs, initializer=_begin, initargs=(os.getpid(),))
            return self._pool.submit(function, *task)

    def wait(self, futures: list[Future[Result]]) -> None:
        """Wait until one of them is done, or slightly longer."""
        if not wait(futures, WATCH_S, FIRST_COMPLETED).done and not self._is_managed():
            raise MachineFault(
                "the thread that distributes tasks to processes ended, probably for lack of "
                "memory; give it more memory, or let fewer processes run at once, and run it again"
            )

    def result(self, function: Callable[..., Result], *task: Any) -> Result:
        """function(*task) in one of the processes."""
        future = self.submit(function, *task)
        while not future.done():
            self.wait([future])
        return future.result()

    def _is_managed(self) -> bool:
        """Whether loky's own thread is alive: without it no future completes."""
        manager = getattr(self._pool, "_executor_manager_thread", None)
        return manager is None or manager.is_alive()

    def end(self) -> None:
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            if self._is_managed():
                self._pool.shutdown(kill_workers=True)
            # Without their manager they would wait for the end of this process, and it for theirs.
            for process in processes:
                if process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
                process.join()
        self._pool = None


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C in processes that are started here: during imports it would print a
    traceback."""
    # The resource tracker, which loky starts, would unblock the signal (CPython up to 3.12).
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    # Ctrl-C reaches every process of a terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Begun(functools.partial(_end_with, parent))


def _end_with(parent: int) -> None:
    """End this process with its parent: a killed parent cannot end its workers, which would wait
    for minutes."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)
