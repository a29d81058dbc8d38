"""Faults of the machine, distinguished from faults of the files that were read.

A recording that could not be read for want of memory is as good as before. Where its loss were
written down, it would be lost for good: the run stops instead.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from avaffect.core import writing
from avaffect.core.errors import MachineFault

# Of the machine, whoever reports them.
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
# Likewise where the system says so; libraries give them as reasons of their own.
FROM_SYSTEM = ERRORS | {errno.EACCES, errno.EPERM, errno.EIO}
ADVICE = {
    errno.ENOMEM: "give it more memory, or let fewer processes run at once",
    errno.EAGAIN: "give it more memory, or more processes and threads (`ulimit -u`)",
    errno.EACCES: "make it readable",
    errno.EPERM: "make it readable",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "end other programs that hold files open",
}
OTHERWISE = "see to the disk or the network"
# Words in which libraries say that memory, or another process or thread, was refused.
REFUSALS = ("bad_alloc", "insufficient memory", "can't start new thread", "cannot allocate memory",
            "can't allocate memory", "failed to allocate")  # fmt: skip
# A process that cannot have this much more is short of memory, whatever its libraries report.
LITTLE_BYTES = 64 << 20
# No decoder asks for more at once (FFmpeg refuses it): a file that is damaged may say so.
LARGEST_BYTES = (1 << 31) - 1
READ_BYTES = 1 << 20
# The reason of a loss that may be the machine's fault: a later run tries again.
CRASHED = "crashed"


def walk(folder: Path, followlinks: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk`, where a folder that cannot be listed is an error: os.walk and glob take it for
    an empty one, and its files would be lost."""
    return os.walk(folder, followlinks=followlinks, onerror=_raise)


def _raise(error: OSError) -> None:
    raise error


def code_of(error: BaseException) -> int | None:
    """The errno of a fault of the machine that Python or a library reports; None for any other."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    code = writing.code_of(error)
    if code in FROM_SYSTEM:
        return code
    if any(word in str(error).lower() for word in REFUSALS):
        return errno.ENOMEM
    return None


def check_machine(path: Path | str, error: BaseException) -> None:
    """Raises MachineFault where an error that was met while reading `path` is no fault of it.

    A file that is damaged may ask for more memory than there is anywhere.
    """
    code = code_of(error)
    if code is not None and (code != errno.ENOMEM or memory_lacks(LARGEST_BYTES)):
        raise of_file(path, code) from error


def memory_lacks(size: int = LITTLE_BYTES) -> bool:
    """Whether this process can have no `size` bytes more."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, MemoryError):
        return True
    return False


def of_file(path: Path | str, code: int | None) -> MachineFault:
    """The error that ends a run for a fault that was met at `path`; code 0 or None: unknown."""
    code = code or 0
    name = errno.errorcode.get(code, str(code))
    return MachineFault(
        f"{path}: {os.strerror(code)} ({name}); this is a fault of the machine, not of the file: "
        f"{ADVICE.get(code, OTHERWISE)}, and run the same command again"
    )


def check_reading(path: Path) -> None:
    """Read a file to its end. Raises MachineFault where the system does not let it."""
    try:
        with path.open("rb", buffering=0) as stream:
            while stream.read(READ_BYTES):
                pass
    except (OSError, MemoryError) as error:
        code = code_of(error)
        if code is not None:
            raise of_file(path, code) from error
