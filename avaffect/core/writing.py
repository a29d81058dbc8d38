"""Errors of writing an output: the file, the reason, and what to do.

A full disk raises an error in the library that writes at the time, with a temporary name. The user
knows the name of the output.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from avaffect.core.errors import AvaffectError, WriteError

# Errors of writing alone.
OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# HDF5 and safetensors give them as text.
_CODE = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
STANDARD_OUTPUT = "standard output"


@contextlib.contextmanager
def writing(output: Path | None) -> Iterator[None]:
    """In this block, errors of writing become a WriteError with the name of `output` (None:
    standard output). Errors of reading are not changed."""
    try:
        yield
    except (AvaffectError, BrokenPipeError):
        raise
    except Exception as error:
        code = code_of(error)
        if code is None or not (code in OF_WRITING or _is_beside(error, output)):
            raise
        raise WriteError(message(output, code)) from error


def check_room(folder: Path, size: int) -> None:
    """Raises OSError if a file of this size cannot be written into a folder."""
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if largest != resource.RLIM_INFINITY and size > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def code_of(error: BaseException) -> int | None:
    """The errno of an error of Python or a library; None if it has none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _CODE.search(str(error))
    return int(found[1]) if found else None


def message(output: Path | None, code: int) -> str:
    """The message: the output, why it cannot be written, what to do."""
    name = STANDARD_OUTPUT if output is None else str(output)
    return f"{name} cannot be written: {_why(output, code)}"


def _why(output: Path | None, code: int) -> str:
    elsewhere = "redirect it elsewhere" if output is None else "write elsewhere with -o"
    folder = None if output is None else output.parent
    if code == errno.ENOSPC:
        return f"the disk is full{_left(folder)}; make room, or {elsewhere}"
    if code == errno.EDQUOT:
        return f"the user's disk quota is exceeded; remove files, or {elsewhere}"
    if code == errno.EFBIG:
        return f"the limit on the size of files is reached (`ulimit -f`); raise it, or {elsewhere}"
    if code == errno.EBADF:
        return f"it is closed; {elsewhere}"
    if code == errno.EROFS:
        return f"{folder or 'it'} is on a read-only disk; {elsewhere}"
    reason = os.strerror(code)
    return f"{folder or 'it'} is not writable for this user ({reason}); change that, or {elsewhere}"


def _left(folder: Path | None) -> str:
    if folder is None:
        return ""
    try:
        return f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB are left in {folder})"
    except OSError:
        return ""


def _is_beside(error: Exception, output: Path | None) -> bool:
    """Whether permission was denied for the output itself, or for its temporary files, which are in
    a hidden folder or the state folder beside it."""
    if not isinstance(error, PermissionError) or output is None or error.filename is None:
        return False
    folder, named = output.absolute().parent, Path(os.fsdecode(error.filename)).absolute()
    if named == output.absolute():
        return True
    first = named.relative_to(folder).parts[0] if folder in named.parents else ""
    if first == f"{output.name}.state":
        return True
    return first.startswith(f".{output.name}.") and first.endswith(".partial")
