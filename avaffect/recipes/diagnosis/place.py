"""The current folder: room, whole files, locks and maps of memory, which network disks may lack."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from avaffect.core.atomic import atomic_path
from avaffect.core.errors import AvaffectError
from avaffect.core.lock import acquire
from avaffect.recipes.diagnosis.findings import BROKEN, FINE, OPTIONAL, Finding

ABOUT = "folder"
GIB = 2**30
# A demo of the whole chain writes less.
LITTLE_BYTES = 2 * GIB


def look(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    state = FINE if free >= LITTLE_BYTES else OPTIONAL
    yield Finding(ABOUT, "room", state, f"{free / GIB:.1f} GiB free in {folder.resolve()}",
                  "" if state == FINE else "write outputs to a larger disk")  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".avaffect-doctor-") as name:
            yield from _writing(Path(name))
    except OSError as error:
        yield Finding(ABOUT, "writing", BROKEN, f"{error.strerror or error}",
                      "go to a folder that you may write to")  # fmt: skip


def _writing(folder: Path) -> Iterator[Finding]:
    path = folder / "file"
    for name, do in (("whole files", _replace), ("locks", _lock), ("memory maps", _map)):
        try:
            do(path)
        except (OSError, ValueError, AvaffectError) as error:
            yield Finding(ABOUT, name, BROKEN, str(error), "keep outputs on another disk")
        else:
            yield Finding(ABOUT, name, FINE, "work")


def _replace(path: Path) -> None:
    for content in (b"before", b"after"):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    if path.read_bytes() != b"after":
        raise ValueError("a file that was replaced has its former content")


def _lock(path: Path) -> None:
    held = acquire(path.with_name("lock"), path, lambda words: None)
    held.check()
    held.release()


def _map(path: Path) -> None:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as pages:
        if pages[:] != b"after":
            raise ValueError("a mapped file has other content than a file that is read")
    os.utime(path)
