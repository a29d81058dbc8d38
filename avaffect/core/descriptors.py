"""Descriptors 0 to 2 of a process that was started without them (`2>&-` in a shell).

The next file that is opened would get their number: what is printed on standard error would then
stand within a store or a manifest. See POSIX.1, open(): the lowest free descriptor is used.
"""

from __future__ import annotations

import fcntl
import os
import sys

# (name in sys, how it is opened, how Python treats what cannot be encoded)
STANDARD = (
    ("stdin", "r", "strict"),
    ("stdout", "w", "strict"),
    ("stderr", "w", "backslashreplace"),
)


def open_missing() -> None:
    """Open the null device on those of 0 to 2 that are closed, for children too, and give Python
    the streams that it left out (None in `sys`)."""
    for number, (name, mode, errors) in enumerate(STANDARD):
        closed = not _serves(number, mode)
        if closed:
            opened = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if closed or getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _serves(number: int, mode: str) -> bool:
    """Whether a descriptor is open, and for its mode: a shell that runs a script whose standard
    error is closed may leave the script itself there (bash)."""
    try:
        opened = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    return opened != (os.O_WRONLY if mode == "r" else os.O_RDONLY)
