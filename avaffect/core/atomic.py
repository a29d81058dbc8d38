"""Atomic writes: an output appears under its name only when it is complete.

Work goes into a folder beside the output (`.NAME.xxxx.partial`), is flushed to the disk and then
renamed over the final name, which is atomic within a file system. The folder is locked while its
writer lives: the next writer of the same output removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from avaffect.core import claims, unchanged
from avaffect.core.errors import DataError, WriteError
from avaffect.core.writing import message, writing


@contextlib.contextmanager
def workspace(output: Path) -> Iterator[Path]:
    """A private, locked folder beside `output`, removed at the end in any case."""
    parent = output.parent
    if not parent.is_dir():
        raise DataError(f"{parent}: no such folder for the output {output.name}; make it first")
    sweep(output)
    while True:
        # Named before it is made, so that a signal in between leaves nothing.
        folder = parent / f".{output.name}.{secrets.token_hex(8)}.partial"
        lock = None
        try:
            with writing(output):
                _make(folder, output)
                try:
                    lock = _lock(folder)
                except (BlockingIOError, FileNotFoundError):
                    # Another writer found it before it was locked, and takes its writer for dead.
                    continue
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _make(folder: Path, output: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise WriteError(message(output, error.errno or 0)) from error


@contextlib.contextmanager
def atomic_path(output: Path) -> Iterator[Path]:
    """A temporary path that becomes `output` when the block ends without an exception."""
    with workspace(output) as folder:
        temporary = folder / output.name
        yield temporary
        publish(temporary, output)


def publish(temporary: Path, output: Path) -> None:
    """Flush a finished file to the disk and give it its final name."""
    claims.check(output)
    unchanged.forget(output)
    with writing(output):
        flush(temporary)
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, output)
        # The rename is durable only after the directory is flushed too.
        flush(output.parent)


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(output: Path, text: str) -> None:
    """Write a small text file atomically."""
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def umask() -> int:
    """The permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _lock(folder: Path) -> int | None:
    """An exclusive lock on a folder; None if the file system has no locks.

    Raises BlockingIOError where another process holds it, FileNotFoundError where the folder is
    gone.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(folder)
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(output: Path) -> None:
    """Remove partial folders of dead writers."""
    for folder in output.parent.glob(f".{glob_escape(output.name)}.*.partial"):
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def glob_escape(name: str) -> str:
    """`name` with the characters that a glob pattern would interpret quoted."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
