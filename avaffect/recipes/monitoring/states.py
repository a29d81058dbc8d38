"""What became of a training, from its output and its state folder, which are read alone.

OUTPUT.state/lock    held by the process that trains; left behind by one that was killed
OUTPUT.state/...     kept where it was stopped or killed; success removes it
"""

from __future__ import annotations

import functools
from pathlib import Path

from avaffect.core import claims
from avaffect.core.errors import DataError
from avaffect.core.lock import seems_held
from avaffect.core.provenance import identity
from avaffect.data import artifacts
from avaffect.training import state
from avaffect.training.state import metrics_path

WAITING, RUNNING, FINISHED = "waiting", "running", "finished"
STOPPED, KILLED, DAMAGED, GONE = "stopped", "killed", "damaged", "gone"
# Of these there may be news.
OPEN = (WAITING, RUNNING)


def state_of(output: Path) -> str:
    """waiting: nothing is there yet. running: a process holds the lock. finished: the output is
    whole. stopped: by a signal or an error, its work is kept. killed: its lock is that of a process
    that is dead. damaged: the output is not whole. gone: neither output nor kept work is there."""
    folder = claims.state_folder(output)
    if seems_held(folder / claims.LOCK):
        return RUNNING
    if _is_filled(folder):
        left = (folder / claims.LOCK).exists()
        if left and seems_held(folder / claims.LOCK):
            # It began between the two looks.
            return RUNNING
        if (made := _made(output)) is not None and made == state.owner(folder):
            # Killed when it had written its output.
            return FINISHED
        return KILLED if left else STOPPED
    if output.exists():
        return DAMAGED if _made(output) is None else FINISHED
    return GONE if metrics_path(output).exists() else WAITING


def _is_filled(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _made(output: Path) -> str | None:
    """The identity of the run that made an output; None where it is missing or not whole."""
    try:
        found = output.stat()
    except OSError:
        return None
    return _made_then(output, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4096)
def _made_then(output: Path, changed_ns: int, size: int) -> str | None:
    """Followed trainings are looked at every second: a file is read again when it has changed."""
    try:
        return identity(artifacts.describe(output).provenance)
    except DataError:
        return None
