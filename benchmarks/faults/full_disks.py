"""Outputs on a full disk: a file system of a few kilobytes, and a limit on the size of files."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avaffect.core import errors
from benchmarks.faults.commands import (
    DISTINCT,
    OUT,
    TIMED,
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
QUICK = 4
# Sizes, as shares of the largest file that a command writes.
LIMITS = (0.0, 0.8)
ROOM = (0.2, 1.2)
LARGE = "64m"


def tries(folder: Path, quick: bool) -> list[Line]:
    """Each command with less room than it needs, then with enough. folder: an empty one."""
    with prepared(folder):
        chosen = list(DISTINCT)
        if quick:
            chosen = random.Random(SEED).sample(chosen, QUICK)
        return [_limited(chosen), _small_disk(chosen)]


def _limited(commands: Sequence[Command]) -> Line:
    """RLIMIT_FSIZE: EFBIG."""
    line = Line("full disk: limit on the size of files")
    for command in commands:
        largest = max(Path(name).stat().st_size for name in undisturbed(command).made)
        for share in LIMITS:
            clear()
            size = int(share * largest)

            def limit(size: int = size) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

            running = Running(command.arguments, limit)
            wrong = judged(command, running, (errors.FAILURE,))
            line.add(wrong, f"{command}: {size} bytes")
        clear()
    return line


def _small_disk(commands: Sequence[Command]) -> Line:
    """ENOSPC of a small tmpfs, where this user may mount one."""
    line = Line("full disk: small tmpfs")
    if not _mounts():
        line.note = "not tried: this user may not mount a tmpfs"
        return line
    for command in commands:
        undisturbed(command)
        need = sum(path.stat().st_size for path in Path().rglob(f"{OUT}*") if path.is_file())
        clear()
        with _disk(LARGE) as disk:
            there = _on(command, disk)
            status, _ = _run(there)
            if status:
                line.add(f"status {status} where there is room", str(there))
                continue
            made = _files(disk)
            for share in ROOM:
                _empty(disk)
                wrong = _tried(there, disk, made, int(share * need))
                line.add(wrong, f"{there}: {int(share * need)} bytes")
    return line


def _on(command: Command, disk: Path) -> Command:
    """The command with its output on another disk."""
    arguments = [str(disk / part) if part.startswith(OUT) else part for part in command.arguments]
    return Command(tuple(arguments))


def _tried(command: Command, disk: Path, made: dict[str, bytes], size: int) -> str | None:
    """What went wrong with `size` bytes, and then with LARGE. made: with room from the start."""
    others = digests(own=False)
    _remount(disk, str(max(4096, size)))
    status, left = _run(command)
    if left:
        return "processes left"
    if status not in (errors.DONE, errors.FAILURE):
        return f"status {status}"
    found = _files(disk)
    names = command.outputs(str(disk / name) for name in made)
    if any(found.get(name, made[name]) != made[name] for name in _within(disk, names)):
        return "another output"
    _remount(disk, LARGE)
    status, _ = _run(command)
    if status or _files(disk) != made:
        return f"status {status} when run again" if status else "another output when run again"
    return None if digests(own=False) == others else "other files changed"


def _within(disk: Path, names: Iterable[str]) -> list[str]:
    return [str(Path(name).relative_to(disk)) for name in names]


def _run(command: Command) -> tuple[int, set[int]]:
    running = Running(command.arguments)
    return running.end(), left_of(running.pid)


def _files(disk: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(disk)): path.read_bytes()
        for path in sorted(disk.rglob("*"))
        if path.is_file() and not str(path).endswith(TIMED)
    }


def _empty(disk: Path) -> None:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _mounts() -> bool:
    try:
        with _disk(LARGE):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _disk(size: str) -> Iterator[Path]:
    disk = Path("../disk").resolve()
    disk.mkdir(exist_ok=True)
    options = f"size={size},mode=700,uid={os.getuid()}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "faults", disk],
                   check=True, capture_output=True)  # fmt: skip
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True, capture_output=True)


def _remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True, capture_output=True)
