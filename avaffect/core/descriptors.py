"""Descriptors 0 to 2 of a process that was started without them (`2>&-` in a shell).

The next file to be opened would get such a number, and messages on standard error would be written
into a store or a manifest. See POSIX.1, open(): the lowest free descriptor is used.

Messages to a closed standard error are lost, as the user wanted. Data to a closed standard output
are an error: EBADF, from the first write that leaves the buffer.
"""

from __future__ import annotations

import fcntl
import os
import sys

# (name in sys, mode, Python's error handler of its encoding)
STANDARD = (
    ("stdin", "r", "strict"),
    ("stdout", "w", "strict"),
    ("stderr", "w", "backslashreplace"),
)


def open_missing() -> None:
    """Open the null device on the closed descriptors of 0 to 2, for child processes too, and set
    the streams that Python left as None in `sys`. Only standard error is open for writing."""
    for number, (name, mode, errors) in enumerate(STANDARD):
        closed = not _serves(number, mode)
        if closed:
            opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if closed or getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _serves(number: int, mode: str) -> bool:
    """Whether a descriptor is open in its mode: with a closed standard error, bash may leave the
    script that it runs open at descriptor 2."""
    try:
        opened = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    return opened != (os.O_WRONLY if mode == "r" else os.O_RDONLY)
