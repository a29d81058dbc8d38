"""Outputs that are named by a link: the link stays, and the file at its end is replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from avaffect.core.errors import UsageError

# Other names of standard output, which are links to whatever it is.
STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
# What lies here is no file of its own, and cannot be replaced.
DESCRIPTORS = ("/dev/fd/", "/dev/std", "/proc/")


def is_standard_output(output: Path) -> bool:
    return str(output) in STANDARD_OUTPUT


def followed(output: Path) -> Path:
    """The file that an output names, which need not exist yet: the end of its links.

    Work lies beside this file, so that it replaces it whole, and under one lock for all its names.
    Raises UsageError for links in a loop, and for open files of a process.
    """
    if is_standard_output(output):
        return output
    if str(output).startswith(DESCRIPTORS):
        raise UsageError(f"{output} is an open file of a process; name a file to write")
    if not output.is_symlink():
        return output
    try:
        os.stat(output)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(
                f"{output} is a link that leads back to itself; remove it, or name a file to write"
            ) from error
    return Path(os.path.realpath(output))
