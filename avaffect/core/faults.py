"""Faults of the machine, distinguished from faults of the files that were read.

A recording that could not be read for lack of memory is good. If it were recorded as unusable, it
would be missing for ever: the run stops instead.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from avaffect.core import writing
from avaffect.core.errors import MachineFault

# Faults of the machine, whoever reports them.
ERRORS = {
    getattr(errno, name)
    for name in (
        "EMFILE", "ENFILE", "EAGAIN", "EBUSY", "ENOLCK", "ENOSPC", "EDQUOT", "EROFS", "ENODEV",
        "ENXIO", "ESTALE", "ETIMEDOUT", "EREMOTEIO", "ENOTCONN", "ESHUTDOWN", "ECONNABORTED",
        "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH",
        "ENOMEM",
    )
    if hasattr(errno, name)
}  # fmt: skip
# Faults of the machine if the system reports them; libraries also use them for other errors.
FROM_SYSTEM = ERRORS | {errno.EACCES, errno.EPERM, errno.EIO}
ADVICE = {
    errno.ENOMEM: "give it more memory, or let fewer processes run at once",
    errno.EAGAIN: "give it more memory, or more processes and threads (`ulimit -u`)",
    errno.EACCES: "make it readable",
    errno.EPERM: "make it readable",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "end other programs that have files open",
}
OTHERWISE = "check the disk or the network"
# Words of libraries' messages on lack of memory, processes or threads.
REFUSALS = ("bad_alloc", "insufficient memory", "can't start new thread", "cannot allocate memory",
            "can't allocate memory", "failed to allocate")  # fmt: skip
# Parts of torch's messages, of gloo, NCCL and its store, on ranks that do not answer.
OF_RANKS = ("gloo/", "nccl", "tcpstore", "socket", "connection", "broken pipe")
RANK_LOST = ("another rank has ended, or does not answer: look for its message, or for a kill for "
             "lack of memory; the same command resumes")  # fmt: skip
# A process that cannot allocate this is short of memory, whatever its libraries report.
LITTLE_BYTES = 64 << 20
# No decoder allocates more at once (FFmpeg refuses it), but a damaged file may request it.
LARGEST_BYTES = (1 << 31) - 1
READ_BYTES = 1 << 20
# Reason of an unusable recording that may be the machine's fault: a later run tries again.
CRASHED = "crashed"


def walk(folder: Path, followlinks: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` that raises an error for a folder that cannot be listed: os.walk and glob treat it
    as empty, and its files would be missing."""
    return os.walk(folder, followlinks=followlinks, onerror=_raise)


def _raise(error: OSError) -> None:
    raise error


def code_of(error: BaseException) -> int | None:
    """The errno of an error if it is a fault of the machine, otherwise None."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    code = writing.code_of(error)
    if code in FROM_SYSTEM:
        return code
    if any(word in str(error).lower() for word in REFUSALS):
        return errno.ENOMEM
    return None


def is_of_ranks(error: BaseException) -> bool:
    """Whether torch raised it as a rank did not answer."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in said for part in OF_RANKS)


def check_machine(path: Path | str, error: BaseException) -> None:
    """Raises MachineFault if an error while reading `path` is not due to the file.

    A damaged file may request more memory than any machine has.
    """
    code = code_of(error)
    if code is not None and (code != errno.ENOMEM or memory_lacks(LARGEST_BYTES)):
        raise of_file(path, code) from error


def memory_lacks(size: int = LITTLE_BYTES) -> bool:
    """Whether this process cannot allocate `size` bytes."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, MemoryError):
        return True
    return False


def of_file(path: Path | str, code: int | None) -> MachineFault:
    """The error that ends a run after a fault at `path`; code 0 or None: unknown."""
    code = code or 0
    name = errno.errorcode.get(code, str(code))
    return MachineFault(
        f"{path}: {os.strerror(code)} ({name}); this is a fault of the machine, not of the file: "
        f"{ADVICE.get(code, OTHERWISE)}, and run the same command again"
    )


def check_reading(path: Path) -> None:
    """Read a file to its end. Raises MachineFault if the system refuses it."""
    try:
        with path.open("rb", buffering=0) as stream:
            while stream.read(READ_BYTES):
                pass
    except (OSError, MemoryError) as error:
        code = code_of(error)
        if code is not None:
            raise of_file(path, code) from error
