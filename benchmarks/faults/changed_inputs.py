"""Inputs that may not be written or read, and inputs that are replaced while they are read."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import (
    DISTINCT,
    Command,
    Running,
    clear,
    digests,
    judged,
    left_of,
    prepared,
    undisturbed,
)
from benchmarks.faults.table import Line

SEED = 18
QUICK = 3
REPLACED = 1
# linux/capability.h: root may otherwise read and write whatever its mode says.
CAPABILITY_VERSION = 0x20080522
OVERRIDES = (1 << 1) | (1 << 2)
SECURE_BITS, NO_ROOT = 28, 1
# Inputs and others of the same kind, with other content, that take their place.
OTHER = {"a.h5": "noisy.h5", "c.jsonl": "few.jsonl", "mfcc.h5": "noisy.mfcc.h5",
         "e.h5": "noisy.e.h5"}  # fmt: skip


# What is compared is a file.
OF_FILES = tuple(command for command in DISTINCT if Path(command.output).suffix)


def tries(folder: Path, quick: bool) -> list[Line]:
    """folder: an empty one."""
    with prepared(folder):
        chosen = list(OF_FILES)
        if quick:
            chosen = random.Random(SEED).sample(chosen, QUICK)
        for name, arguments in (
            ("noisy.mfcc.h5", ("extract", "noisy.h5", "--model", "mfcc")),
            ("noisy.e.h5", ("extract", "noisy.h5", "--model", "projector.safetensors")),
        ):
            Running((*arguments, "-o", name)).end()
        others = [c for c in OF_FILES if set(c.arguments) & set(OTHER)]
        others = random.Random(SEED).sample(others, QUICK) if quick else others
        return [
            _read_only(chosen), _unreadable(chosen), _folder(chosen), *_replaced(others, quick)
        ]  # fmt: skip


def _inputs(command: Command) -> list[Path]:
    named = [Path(part) for part in command.arguments if part != command.output]
    return [path for path in named if path.is_file()]


def _powerless() -> None:
    """Files' modes hold for root, too, in this process and its children."""
    if os.getuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Effective, permitted, inheritable; twice, for 64 of them.
    held = (ctypes.c_uint32 * 6)()
    if libc.capget(header, held):
        raise OSError(ctypes.get_errno(), "capget")
    # Programs that it starts get none, though they are root's.
    libc.prctl(SECURE_BITS, NO_ROOT, 0, 0, 0)
    held[0] &= ~OVERRIDES
    held[1] &= ~OVERRIDES
    if libc.capset(header, held):
        raise OSError(ctypes.get_errno(), "capset")


@contextmanager
def _modes(paths: list[Path], mode: int) -> Iterator[None]:
    before = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    for path in paths:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, old in zip(paths, before):
            path.chmod(old)


def _read_only(commands: list[Command]) -> Line:
    line = Line("inputs that are read-only")
    for command in commands:
        undisturbed(command)
        clear()
        with _modes(_inputs(command), 0o444):
            wrong = judged(command, Running(command.arguments, _powerless), (errors.DONE,))
        line.add(wrong, str(command))
        clear()
    return line


def _unreadable(commands: list[Command]) -> Line:
    line = Line("inputs that may not be read")
    refused = (errors.BAD_DATA, errors.FAILURE)
    for command in commands:
        if not _inputs(command):
            continue
        undisturbed(command)
        clear()
        with _modes(_inputs(command), 0):
            running = Running(command.arguments, _powerless)
            status = running.end()
        words = running.said()
        named = any(path.name in words for path in _inputs(command))
        wrong = _status(status in refused and named and "unexpected" not in words, status)
        line.add(wrong or judged(command, running, refused), f"{command}: {words}")
        clear()
    return line


def _status(well: bool, status: int) -> str | None:
    return None if well else f"status {status}"


def _folder(commands: list[Command]) -> Line:
    """Nothing can be made in the folder of the output."""
    line = Line("a folder that is read-only")
    for command in commands:
        undisturbed(command)
        clear()
        with _modes([Path()], 0o555):
            running = Running(command.arguments, _powerless)
            status = running.end()
        words = running.said()
        well = "cannot be written" in words and "unexpected" not in words
        wrong = _status(well, status) or judged(command, running, (errors.FAILURE,))
        line.add(wrong, f"{command}: {words}")
        clear()
    return line


def _replaced(commands: list[Command], quick: bool) -> list[Line]:
    """An input is replaced whole, at a random moment: the output is that of the old one or of the
    new one, and says which; or the command stops."""
    whole, cut = Line("inputs replaced while they are read"), Line("inputs cut while they are read")
    draw = random.Random(SEED)
    for command in commands:
        name = next(part for part in command.arguments if part in OTHER)
        for _ in range(1 if quick else REPLACED):
            moment = draw.uniform(0, undisturbed(command).seconds)
            whole.add(_swapped(command, name, moment), f"{command}: {name} after {moment:.3f} s")
            moment = draw.uniform(0, undisturbed(command).seconds)
            cut.add(_shortened(command, name, moment), f"{command}: {name} after {moment:.3f} s")
    return [whole, cut]


def _swapped(command: Command, name: str, moment: float) -> str | None:
    """The input becomes another file of its kind."""
    old = undisturbed(command).made
    kept = Path(name).read_bytes()
    try:
        _replace(name, Path(OTHER[name]).read_bytes())
        new = _made(command)
        _replace(name, kept)
        clear()
        running = Running(command.arguments)
        time.sleep(moment)
        _replace(name, Path(OTHER[name]).read_bytes())
        status, found = running.end(), digests(own=True)
        if left_of(running.pid):
            return "processes left"
        if status == errors.DONE and found not in (old, new):
            return "an output of neither"
        if status not in (errors.DONE, errors.BAD_DATA, errors.FAILURE):
            return f"status {status}"
        if command.output in found and status != errors.DONE:
            return "an output without success"
        # With the new input there, the command makes its output, or refuses the old one's place.
        again = Running(command.arguments)
        status = again.end()
        expected = errors.DONE if found.get(command.output) != old[command.output] else 73
        if old[command.output] != new.get(command.output) and status != expected:
            return f"status {status} when run again, not {expected}: {again.said()}"
        return None
    finally:
        _replace(name, kept)
        clear()


def _made(command: Command) -> dict[str, str]:
    clear()
    Running(command.arguments).end()
    return digests(own=True)


def _replace(name: str, content: bytes) -> None:
    Path("../new").write_bytes(content)
    shutil.move("../new", name)


def _shortened(command: Command, name: str, moment: float) -> str | None:
    """The input loses its second half, in place: nothing wrong comes of it."""
    whole = undisturbed(command)
    kept = Path(name).read_bytes()
    clear()
    try:
        running = Running(command.arguments)
        time.sleep(moment)
        os.truncate(name, len(kept) // 2)
        status, found = running.end(), digests(own=True)
    finally:
        Path(name).write_bytes(kept)
    if left_of(running.pid):
        return "processes left"
    # A mapped file that is cut ends a process, as avaffect(1) says.
    if status not in (errors.DONE, errors.BAD_DATA, errors.FAILURE, -signal.SIGBUS):
        return f"status {status}"
    if command.output in found and found[command.output] != whole.made[command.output]:
        return "another output"
    clear()
    return judged(command, Running(command.arguments), (errors.DONE,))
