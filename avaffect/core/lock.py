"""One writer at a time for an output: a lock file that names its holder.

The file holds the host and the process id of its owner, is locked (flock) while the owner lives,
and gets a new time stamp every BEAT_S seconds. Whoever finds it judges the owner:

same machine    the system releases the lock of a dead process: a file that can be locked has a dead
                owner; where the file system has no locks, the process table tells
other machine   not every network file system locks across machines: an owner whose time stamp
                changes within SILENT_S seconds lives, any other is dead; clocks are not compared

The lock of a dead owner is taken over. An owner that was taken for dead (a suspended job that goes
on later) sees it at its next beat, and stops before it writes anything (`Lock.check`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from avaffect.core.errors import LockedError, WriteError
from avaffect.core.launch import host

BEAT_S = 10.0
SILENT_S = 60.0
# How long a lock file may be empty, or locked by somebody who only looks at it.
SETTLE_S = 1.0
# So many looks in a row that find no file, though they make one, are no accident.
GONE = 200


@dataclass(frozen=True)
class Owner:
    """kernel, processes: tell machines, and the process tables of containers, apart; started: tells
    the owner from a later process of the same id; token: of this lock alone."""

    host: str
    pid: int
    kernel: str
    processes: str
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """A lock that is held until `release`."""

    def __init__(self, path: Path, descriptor: int, owner: Owner) -> None:
        self.path, self.owner = path, owner
        self._descriptor = descriptor
        self._lost = False
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            # A file system that fails for a moment is no reason to stop.
            with contextlib.suppress(OSError):
                os.utime(self._descriptor)
                self._lost = self._lost or not self._is_mine()

    def _is_mine(self) -> bool:
        try:
            return _owner(self.path.read_bytes()) == self.owner
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raises LockedError where another process took this one for dead, or the file is gone."""
        if self._lost:
            raise LockedError(
                f"{self.path} was removed, or is held by another process now that took this one "
                f"for dead; nothing more is written here. Run the command again when the other "
                "has ended"
            )

    def release(self) -> None:
        """Remove the lock file, unless it is another's by now."""
        self._over.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            if self._is_mine():
                self.path.unlink()
        os.close(self._descriptor)


def acquire(path: Path, output: Path, say: Callable[[str], None]) -> Lock:
    """The lock at `path` on the work that makes `output`; its folder is made where it is missing.

    Raises LockedError, naming the owner, where another living process holds it, WriteError where
    the folder takes no file.
    """
    mine = _myself()
    settled = time.monotonic() + SETTLE_S
    silent: Owner | None = None
    gone = 0
    while True:
        seen = _look(path)
        if seen is None:
            # Removed by another process between two looks: that does not happen for ever.
            gone += 1
            if gone > GONE:
                raise WriteError(f"{path} cannot be made: name another output with -o")
            time.sleep(SETTLE_S / GONE)
            continue
        gone, unsettled = 0, time.monotonic() < settled
        if seen.owner is None and (seen.created or not unsettled) and not seen.taken:
            return seen.take(path, mine)
        if unsettled and (seen.owner is None or seen.taken):
            # Just made, or looked at by somebody else.
            seen.close()
            time.sleep(SETTLE_S / 20)
            continue
        if seen.owner is not None and (seen.owner == silent or seen.is_dead()):
            if not seen.taken:
                say(f"{output}: the lock of {seen.owner}, which is dead, is taken over")
                return seen.take(path, mine)
            # The server keeps the lock of a machine that is gone: a new file has none.
            seen.remove(path)
            continue
        seen.close()
        if seen.owner is None or seen.is_alive() or _lives(path, seen.owner, say):
            raise _refusal(path, output, seen.owner)
        silent = seen.owner


def try_acquire(path: Path) -> Lock | None:
    """The lock where nobody holds it; None where somebody does, alive or not."""
    seen = _look(path)
    if seen is None:
        return None
    if seen.taken or (seen.owner is not None and not seen.is_dead()):
        seen.close()
        return None
    return seen.take(path, _myself())


@dataclass
class _Seen:
    """A lock file as it was found open. created: by this look; locks: whether the file system has
    any; taken: whether another process holds it."""

    descriptor: int
    created: bool
    locks: bool
    taken: bool
    owner: Owner | None

    def is_dead(self) -> bool:
        """Whether the owner is known to be dead, without waiting."""
        assert self.owner is not None
        here = _myself()
        if self.taken or self.owner.kernel != here.kernel:
            return False
        if self.locks:
            return True
        same_table = self.owner.processes == here.processes
        return same_table and _started(self.owner.pid) != self.owner.started

    def is_alive(self) -> bool:
        """Whether the owner is known to live, without waiting."""
        assert self.owner is not None
        here = _myself()
        same_table = not self.locks and self.owner.processes == here.processes
        return self.owner.kernel == here.kernel and (self.taken or same_table)

    def take(self, path: Path, mine: Owner) -> Lock:
        text = json.dumps(asdict(mine)).encode()
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))
        os.fsync(self.descriptor)
        return Lock(path, self.descriptor, mine)

    def remove(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self.descriptor), path.stat()):
                path.unlink()
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)


def _look(path: Path) -> _Seen | None:
    """Open, or make, the lock file, and try to lock it; None where it was removed meanwhile."""
    created = False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            created = True
        except (FileExistsError, FileNotFoundError):
            if path.parent.exists() and not path.parent.is_dir():
                raise
            return None
    locks, taken = True, False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        taken = True
    except OSError:
        locks = False
    try:
        there = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        there = False
    if not there:
        os.close(descriptor)
        return None
    return _Seen(descriptor, created, locks, taken, _owner(os.pread(descriptor, 2**16, 0)))


def _lives(path: Path, owner: Owner, say: Callable[[str], None]) -> bool:
    """Whether an owner on another machine gives a sign of life; waits for it."""
    say(
        f"{path} is held by {owner}, another machine: waiting up to {SILENT_S:g} s to see whether "
        "it lives"
    )
    first = _stamp(path)
    deadline = time.monotonic() + SILENT_S
    while time.monotonic() < deadline:
        time.sleep(min(1.0, SILENT_S / 10))
        now = _stamp(path)
        if now != first:
            # Gone, or another's: to be looked at anew.
            return now is not None and now[0] == owner
    return False


def _stamp(path: Path) -> tuple[Owner | None, int] | None:
    """Opened anew each time: network file systems ask the server only then."""
    try:
        with path.open("rb") as stream:
            return _owner(stream.read()), os.fstat(stream.fileno()).st_mtime_ns
    except OSError:
        return None


def _owner(text: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _refusal(path: Path, output: Path, owner: Owner | None) -> LockedError:
    who = "another process" if owner is None else str(owner)
    return LockedError(
        f"{output} is being made by {who}: wait for it, stop it, or name another output. If that "
        f"process is gone for certain, remove {path}"
    )


def _myself() -> Owner:
    return Owner(
        host(), os.getpid(), _kernel(), _process_table(), _started(os.getpid()) or "",
        secrets.token_hex(8),
    )  # fmt: skip


def _kernel() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return host()


def _process_table() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process was started, in the system's ticks; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
        return ""
    # The name, in brackets, may hold anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
