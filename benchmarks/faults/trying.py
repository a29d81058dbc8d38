"""Commands under a fault, in a process that may die of it: what each said, and what it made."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A command on these small files takes seconds at most, of the processor and, where other work
# shares it, of the clock.
LIMIT_S = 60.0
LIMIT_OF_CLOCK_S = 600
# Memory that a damaged file must not make a command take, beyond what it has at the start.
MORE_BYTES = 3 << 30


@dataclass(frozen=True)
class Said:
    """What a command said: its status, -N where the process died of signal N."""

    status: int
    out: str = ""
    err: str = ""


def command(arguments: Sequence[object]) -> Said:
    """`avaffect ARGUMENTS...` in this process, with the statuses and words of the program."""
    from avaffect.cli.main import run

    shown, words = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(words):
            status = run([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, terminate)
    shown.flush()
    return Said(status, shown.buffer.getvalue().decode(), words.getvalue())  # type: ignore[attr-defined]


def each(count: int, attempt: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
    """`attempt(number)` for all numbers below `count`, in forks of this process, with its JSON-able
    result; `{"died": N}` where the fork died of signal N or of too much memory or time."""
    done = 0
    while done < count:
        source, sink = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(source)
            _attempt_all(range(done, count), attempt, sink)
        os.close(sink)
        with os.fdopen(source, encoding="utf-8") as lines:
            for line in lines:
                yield done, json.loads(line)
                done += 1
        _, status = os.waitpid(pid, 0)
        if done < count:
            yield done, {"died": os.waitstatus_to_exitcode(status)}
            done += 1


def _attempt_all(numbers: Sequence[int], attempt: Callable[[int], Any], sink: int) -> None:
    """In the fork; never returns."""
    try:
        with open("/proc/self/statm", encoding="ascii") as pages:
            held = int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, resource.RLIM_INFINITY))
        with os.fdopen(sink, "w", encoding="utf-8") as results:
            for number in numbers:
                signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
                signal.alarm(LIMIT_OF_CLOCK_S)
                found = attempt(number)
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
                results.write(json.dumps(found) + "\n")
                results.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def built(folder: Path) -> None:
    """The chain of `nothing_to_do` in an empty folder, made in a fork: a process whose threads have
    computed cannot fork others that compute."""
    from benchmarks import nothing_to_do

    def build(_: int) -> None:
        nothing_to_do.build(folder)

    for _, failure in each(1, build):
        if failure is not None:
            raise RuntimeError(f"the chain cannot be made: {failure}")


def digest_of(paths: Sequence[Path]) -> str:
    """A hash of the bytes of files, "" where none is there."""
    there = [path for path in paths if path.is_file()]
    content = [hashlib.sha256(path.read_bytes()).hexdigest() for path in there]
    return " ".join(content)
