"""Errors of writing an output: the file, the reason, and what to do.

A full disk shows in the middle of work, in whatever library writes at the time and under a
temporary name. What a user knows is the output's own name.
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

# Only writing meets these, whatever was written.
OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# HDF5 and safetensors say so in words.
_CODE = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
STANDARD_OUTPUT = "standard output"


@contextlib.contextmanager
def writing(output: Path | None) -> Iterator[None]:
    """While the block runs, what cannot be written is a WriteError that names `output` (None:
    standard output). Faults of what is read in it stay what they are."""
    try:
        yield
    except (AvaffectError, BrokenPipeError):
        raise
    except Exception as error:
        code = code_of(error)
        if code is None or not (code in OF_WRITING or _is_beside(error, output)):
            raise
        raise WriteError(said(output, code)) from error


def check_room(folder: Path, size: int) -> None:
    """Raises OSError where no file of so many bytes can be written into a folder."""
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if largest != resource.RLIM_INFINITY and size > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def code_of(error: BaseException) -> int | None:
    """The errno of a fault that Python or a library reports, None where there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _CODE.search(str(error))
    return int(found[1]) if found else None


def said(output: Path | None, code: int) -> str:
    """A sentence: the output, why it cannot be written, what to do."""
    name = STANDARD_OUTPUT if output is None else str(output)
    return f"{name} cannot be written: {_why(output, code)}"


def _why(output: Path | None, code: int) -> str:
    elsewhere = "redirect it elsewhere" if output is None else "write elsewhere with -o"
    folder = None if output is None else output.parent
    if code == errno.ENOSPC:
        return f"the disk is full{_left(folder)}; make room, or {elsewhere}"
    if code == errno.EDQUOT:
        return f"the quota of this user is used up; remove files, or {elsewhere}"
    if code == errno.EFBIG:
        return f"files may not be so large here (see `ulimit -f`); raise the limit, or {elsewhere}"
    if code == errno.EROFS:
        return f"{folder or 'it'} is on a disk that can only be read; {elsewhere}"
    reason = os.strerror(code)
    return f"{folder or 'it'} does not let this user write ({reason}); change that, or {elsewhere}"


def _left(folder: Path | None) -> str:
    if folder is None:
        return ""
    try:
        return f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB are left in {folder})"
    except OSError:
        return ""


def _is_beside(error: Exception, output: Path | None) -> bool:
    """Whether permission was refused for the output itself, or for its temporary files: those are
    in a hidden folder beside it."""
    if not isinstance(error, PermissionError) or output is None or error.filename is None:
        return False
    folder, named = output.absolute().parent, Path(os.fsdecode(error.filename)).absolute()
    if named == output.absolute():
        return True
    first = named.relative_to(folder).parts[0] if folder in named.parents else ""
    return first.startswith(f".{output.name}.") and first.endswith(".partial")
