"""One writer at a time for an output: a lock file with its owner.

The file has the host and the process id of its owner, is locked (flock) while the owner is alive,
and gets a new time stamp every BEAT_S seconds. Another process decides whether the owner is alive:

same machine    the system releases the lock of a dead process, so that the owner is dead if the
                file can be locked; without locks in the file system, the process table decides
other machine   not every network file system locks across machines: the owner is alive if the time
                stamp changes within SILENT_S seconds, otherwise dead; clocks are not compared

The lock of a dead owner is taken over. An owner that was wrongly taken as dead (a suspended job
that continues later) detects this at its next beat, and stops before it writes anything
(`Lock.check`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from avaffect.core import plain_json
from avaffect.core.errors import LockedError, WriteError
from avaffect.core.launch import Launch, host, launch
from avaffect.core.threads import Begun

BEAT_S = 10.0
SILENT_S = 60.0
# Seconds for which a lock file may be empty, or locked by a process that only inspects it.
SETTLE_S = 1.0
# After this many attempts in a row that create no file, the file cannot be created.
GONE = 200
# No link is followed, and no pipe or device waited for.
OPENED = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True)
class Owner:
    """kernel, processes: identify the machine, and the process table of a container; started: start
    time of the process, as ids are reused; token: identifies this lock."""

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
        try:
            self._heart = Begun(self._beat)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)
            raise

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            # A temporary failure of the file system does not stop the work.
            with contextlib.suppress(OSError):
                os.utime(self._descriptor)
                self._lost = self._lost or not self._is_mine()

    def _is_mine(self) -> bool:
        try:
            return _owner(_content(self.path)) == self.owner
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raises LockedError if another process has taken the lock over, or the file is missing."""
        with contextlib.suppress(OSError):
            self._lost = self._lost or not self._is_mine()
        if self._lost:
            raise LockedError(
                f"{self.path} was removed, or taken over by another process while this one did not "
                f"respond; this process writes nothing more. Run the command again when the other "
                "has ended"
            )

    def release(self) -> None:
        """Remove the lock file, unless it now belongs to another process."""
        self._over.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            if self._is_mine():
                self.path.unlink()
        os.close(self._descriptor)


def acquire(path: Path, output: Path, say: Callable[[str], None]) -> Lock:
    """The lock at `path` for making `output`; its folder is created if it is missing.

    Raises LockedError, with the owner, if another live process holds it, WriteError if no file can
    be created in the folder.
    """
    mine = _myself()
    settled = time.monotonic() + SETTLE_S
    silent: Owner | None = None
    gone = 0
    while True:
        seen = _look(path)
        if seen is None:
            # Removed by another process in between: this does not happen for ever.
            gone += 1
            if gone > GONE:
                raise WriteError(f"{path} cannot be created: choose another output with -o")
            time.sleep(SETTLE_S / GONE)
            continue
        gone, unsettled = 0, time.monotonic() < settled
        if seen.owner is None and (seen.created or not unsettled) and not seen.taken:
            held = seen.take(path, mine)
            if held is None:
                continue
            return held
        if unsettled and (seen.owner is None or seen.taken):
            # Just created, or inspected by another process.
            seen.close()
            time.sleep(SETTLE_S / 20)
            continue
        if seen.owner is not None and (seen.owner == silent or seen.is_dead()):
            if not seen.taken:
                held = seen.take(path, mine)
                if held is None:
                    continue
                say(f"{output}: took over the lock of {seen.owner}, which is dead")
                return held
            # The server keeps the lock of a machine that is gone: a new file has no lock.
            seen.remove(path)
            continue
        seen.close()
        if seen.owner is None or seen.is_alive() or _lives(path, seen.owner, say):
            raise _refusal(path, output, seen.owner)
        silent = seen.owner


def try_acquire(path: Path) -> Lock | None:
    """The lock if no process holds it; None if one does, alive or dead."""
    seen = _look(path)
    if seen is None:
        return None
    if seen.taken or (seen.owner is not None and not seen.is_dead()):
        seen.close()
        return None
    return seen.take(path, _myself())


@dataclass
class _Seen:
    """An opened lock file. created: by this process; locks: whether the file system has locks;
    taken: whether another process holds it."""

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
        """Whether the owner is known to be alive, without waiting."""
        assert self.owner is not None
        here = _myself()
        same_table = not self.locks and self.owner.processes == here.processes
        return self.owner.kernel == here.kernel and (self.taken or same_table)

    def take(self, path: Path, mine: Owner) -> Lock | None:
        """The lock, or None where another process took it at the same time.

        Where a lock of the system does not exclude that, the last one that wrote its name has it:
        each looks again once all have written. Where it cannot be written, on a full disk, no file
        without an owner is left.
        """
        text = json.dumps(asdict(mine)).encode()
        try:
            os.pwrite(self.descriptor, text, 0)
            os.ftruncate(self.descriptor, len(text))
            os.fsync(self.descriptor)
        except OSError:
            if self.owner is None:
                self.remove(path)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
            else:
                self.close()
            raise
        excluded = self.locks and (self.owner is None or self.owner.kernel == mine.kernel)
        if not excluded:
            time.sleep(SETTLE_S)
            with contextlib.suppress(FileNotFoundError):
                if _owner(_content(path)) == mine:
                    return Lock(path, self.descriptor, mine)
            self.close()
            return None
        return Lock(path, self.descriptor, mine)

    def remove(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self.descriptor), path.stat()):
                path.unlink()
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)


def _look(path: Path) -> _Seen | None:
    """Open or create the lock file, and try to lock it; None if it was removed meanwhile.

    Raises WriteError where something else lies there: a link would have another file overwritten.
    """
    created = False
    try:
        descriptor = os.open(path, OPENED)
    except FileNotFoundError:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, OPENED | os.O_CREAT | os.O_EXCL, 0o666)
            created = True
        except (FileExistsError, FileNotFoundError):
            if path.parent.exists() and not path.parent.is_dir():
                raise _no_lock(path.parent) from None
            return None
    except OSError as error:
        if isinstance(error, NotADirectoryError):
            raise _no_lock(path.parent) from error
        if isinstance(error, IsADirectoryError) or error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_lock(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock(path)
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


def _no_lock(path: Path) -> WriteError:
    return WriteError(
        f"{path} lies where the lock of the output belongs: remove it, or choose another output "
        "with -o"
    )


def _lives(path: Path, owner: Owner, say: Callable[[str], None]) -> bool:
    """Whether an owner on another machine is alive; waits for a new time stamp."""
    say(
        f"{path} is held by {owner}, another machine: waiting up to {SILENT_S:g} s to see whether "
        "it is alive"
    )
    first = _stamp(path)
    deadline = time.monotonic() + SILENT_S
    while time.monotonic() < deadline:
        time.sleep(min(1.0, SILENT_S / 10))
        now = _stamp(path)
        if now != first:
            # The file is gone, or has another owner: inspect it again.
            return now is not None and now[0] == owner
    return False


def _content(path: Path) -> bytes:
    """Opened again, as `_stamp` is. Raises OSError where it is gone."""
    return path.read_bytes()


def _stamp(path: Path) -> tuple[Owner | None, int] | None:
    """Owner and time stamp. The file is opened again, as network file systems query the server only
    then."""
    try:
        with path.open("rb") as stream:
            return _owner(stream.read()), os.fstat(stream.fileno()).st_mtime_ns
    except OSError:
        return None


def _owner(text: bytes) -> Owner | None:
    try:
        return Owner(**plain_json.parse(text))
    except (ValueError, TypeError):
        return None


def seems_held(path: Path) -> bool:
    """Whether a process holds this lock, without opening it for writing: of this machine, exactly;
    of another one, where its time stamp is not older than SILENT_S by this machine's clock."""
    found = _stamp(path)
    if found is None:
        return False
    owner, stamp = found
    if owner is not None and (owner.kernel, owner.processes) == (_kernel(), _process_table()):
        return _started(owner.pid) == owner.started
    return time.time() - stamp / 1e9 < SILENT_S


def _refusal(path: Path, output: Path, owner: Owner | None) -> LockedError:
    who = "another process" if owner is None else str(owner)
    return LockedError(
        f"{output} is being made by {who}: wait for it, stop it, or choose another output. If this "
        f"process has certainly ended, remove {path}{_of_many(launch())}"
    )


def _of_many(here: Launch) -> str:
    """A hint where a launcher started several processes of a command that does not divide its
    work among them; none where one process was started."""
    if here.processes == 1:
        return ""
    return (
        f". This is one of {here.processes} processes that were started at once, each with all of "
        "the work: start one, or give each a part and an output of its own, such as --shard "
        f"{here.rank}/{here.processes} for this one"
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
    """Start time of a process in the system's ticks; None if there is no such process."""
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
    # The name, in brackets, may contain any character.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
