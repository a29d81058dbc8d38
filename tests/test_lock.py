"""One writer for an output: who is refused, whose lock is taken over."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from chain import ROOT, interrupt, invoke, litter
from running import Running
from test_writing import largest_file
from tiny_training import history

from avaffect.core import lock, threads
from avaffect.core.errors import LockedError, MachineFault, WriteError
from avaffect.core.launch import launch
from avaffect.core.provenance import identity
from avaffect.data.artifacts import describe
from avaffect.training.state import open_folder

HOLD = """
import sys, time
from pathlib import Path
from avaffect.core.lock import acquire
acquire(Path(sys.argv[1]), Path("x.safetensors"), print)
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors.state" / "lock"


@pytest.fixture
def words() -> list[str]:
    return []


@pytest.fixture
def acquire(path: Path, words: list[str]):
    """Takes the lock at `path`, and releases it at the end."""
    held: list[lock.Lock] = []

    def take() -> lock.Lock:
        held.append(lock.acquire(path, Path("x.safetensors"), words.append))
        return held[-1]

    yield take
    for one in held:
        one.release()


@pytest.fixture
def holder(path: Path):
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_living_owner_is_named(holder, acquire) -> None:
    with pytest.raises(LockedError, match=f"process {holder.pid} on {lock.host()}") as raised:
        acquire()
    assert raised.value.status == 73 and "x.safetensors" in str(raised.value)


def test_a_process_of_several_is_told_of_shards(holder, acquire, monkeypatch) -> None:
    """`srun -n 2 avaffect extract` starts the whole work twice."""
    with pytest.raises(LockedError) as alone:
        acquire()
    assert "--shard" not in str(alone.value)
    task = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "7"}
    monkeypatch.setattr(lock, "launch", lambda: launch(task))
    with pytest.raises(LockedError, match="--shard 1/2"):
        acquire()


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(holder, acquire, words) -> None:
    holder.kill()
    holder.wait()
    begun = time.monotonic()
    held = acquire()
    assert time.monotonic() - begun < lock.SILENT_S / 2
    assert "is dead" in words[0] and str(holder.pid) in words[0]
    held.check()


def test_a_stopped_owner_lives(holder, acquire) -> None:
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(LockedError):
        acquire()


def test_released_locks_leave_nothing(path: Path) -> None:
    lock.acquire(path, Path("x"), print).release()
    assert not path.exists()
    held = lock.try_acquire(path)
    assert held is not None and lock.try_acquire(path) is None
    held.release()
    assert not path.exists()


def _written(path: Path, **changes) -> lock.Owner:
    """A lock file of another process, which nobody holds."""
    owner = replace(lock._myself(), pid=2**22 + 1, token="other", **changes)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(owner)))
    return owner


def test_a_place_that_takes_no_file_is_named(path: Path, acquire, monkeypatch) -> None:
    """As folders of /proc: it is there, and no file can be made in it."""
    monkeypatch.setattr(lock, "SETTLE_S", 0.01)

    def opened(*_: object) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    path.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(lock.os, "open", opened)
    with pytest.raises(WriteError, match="cannot be created: choose another output"):
        acquire()


def test_another_machine_lives_while_its_time_stamp_changes(
    path: Path, acquire, words, monkeypatch: pytest.MonkeyPatch
) -> None:
    _written(path, host="node17", kernel="another")
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        os.utime(path, ns=(len(slept), len(slept)))

    monkeypatch.setattr(lock.time, "sleep", sleep)
    with pytest.raises(LockedError, match="on node17"):
        acquire()
    assert "waiting up to" in words[0] and len(slept) == 1
    assert lock.try_acquire(path) is None


def test_a_silent_machine_is_dead(path: Path, acquire, words, monkeypatch) -> None:
    owner = _written(path, host="node17", kernel="another")
    monkeypatch.setattr(lock, "SILENT_S", 0.1)
    acquire().check()
    assert f"the lock of {owner}, which is dead" in words[-1]


def test_a_server_that_keeps_the_lock_of_a_machine_that_is_gone(
    path: Path, holder, acquire, words, monkeypatch
) -> None:
    owner = json.loads(path.read_text())
    path.write_text(json.dumps({**owner, "kernel": "another", "host": "node17"}))
    monkeypatch.setattr(lock, "SILENT_S", 0.1)
    acquire().check()
    assert lock._owner(path.read_bytes()).pid == os.getpid()


def test_an_owner_that_was_taken_for_dead_stops(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    held = lock.acquire(path, Path("x"), print)
    held.check()
    _written(path)
    deadline = time.monotonic() + 60
    with pytest.raises(LockedError, match="taken over by another"):
        while time.monotonic() < deadline:
            held.check()
            time.sleep(0.01)
    held.release()
    # It is the other's: it stays.
    assert path.exists()


@pytest.mark.parametrize("text", ["", "{", '{"host": "x"}', "[]", "\x00" * 9])
def test_a_damaged_lock_that_nobody_holds(path: Path, acquire, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    acquire().check()


def test_without_memory_for_a_heart_beat(path: Path, acquire, monkeypatch) -> None:
    """A thread that ends before it begins, in silence: the fault is named, and nothing stays."""
    monkeypatch.setattr(threads, "BEGIN_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(threads._thread, "start_new_thread", lambda *arguments: 0)
        with pytest.raises(MachineFault, match="memory"):
            acquire()
    assert not path.exists()
    acquire().check()


def test_without_room_for_the_name_of_its_owner(path: Path, acquire) -> None:
    with largest_file(0), pytest.raises(OSError, match="File too large"):
        acquire()
    assert not path.parent.exists()
    acquire().check()


class TestWithoutLocks:
    """A file system that has none: the process table tells, and across machines the time stamp."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def flock(descriptor: int, operation: int) -> None:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(lock.fcntl, "flock", flock)

    def test_a_process_that_lives(self, acquire, holder) -> None:
        with pytest.raises(LockedError, match=str(holder.pid)):
            acquire()
        holder.kill()
        holder.wait()
        acquire().check()

    def test_a_later_process_of_the_same_id(self, path: Path, acquire) -> None:
        path.parent.mkdir()
        path.write_text(json.dumps({**asdict(lock._myself()), "started": "1"}))
        acquire().check()

    def test_a_container_beside_this_one(self, path: Path, acquire, words, monkeypatch) -> None:
        _written(path, processes="pid:[1]")
        monkeypatch.setattr(lock, "SILENT_S", 0.1)
        acquire().check()
        assert "waiting up to" in words[0]


COMMANDS = {
    "pretrain": ("pretrain-hubert", "a.h5", "b.h5", "--units", "units_a.h5", "--units",
                 "units_b.h5", "--preset", "nano", "--steps", 12, "--batch-seconds", 4),
    "finetune": ("finetune", "a.h5", "--encoder", "fav.safetensors", "--runs", 2, "--epochs", 4,
                 "--batch-utterances", 4),
}  # fmt: skip


def _has_owner(held: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return held.stat().st_size > 0
    return False


def test_two_writers(chain: Path, name: str = "finetune") -> None:
    """One is refused, and names the other, whose result is as if it had been alone."""
    command = (*COMMANDS[name], "-o", "out.safetensors")
    first = Running(chain, *command)
    held = chain / "out.safetensors.state" / "lock"
    deadline = time.monotonic() + 100
    while not _has_owner(held) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    if _has_owner(held):
        refused = invoke(chain, *command, status=73)
        assert f"process {first.pid} on " in refused.stderr
        # Another output of the same inputs is not in the way.
        invoke(chain, *command[:-1], "other.safetensors", "--dry-run")
    first.send_signal(signal.SIGCONT)
    told = first.communicate(timeout=100)[1]
    assert first.returncode == 0, told
    assert litter(chain) == []
    found = (chain / "out.safetensors").read_bytes()
    lines = history(chain / "out.safetensors.metrics.jsonl")
    shutil.move(chain / "out.safetensors", chain / "kept.safetensors")
    invoke(chain, *command)
    assert (chain / "out.safetensors").read_bytes() == found
    assert history(chain / "out.safetensors.metrics.jsonl") == lines


def test_up_to_date_leaves_a_living_run_its_state(chain: Path) -> None:
    """A run that is forced, beside a command that finds the output there."""
    command = (*COMMANDS["pretrain"], "-o", "out.safetensors")
    invoke(chain, *command)
    folder = chain / "out.safetensors.state"
    forced = lock.acquire(folder / "lock", Path("out.safetensors"), print)
    record = describe(chain / "out.safetensors").provenance
    open_folder(folder, identity(record), fresh=False)
    try:
        assert "up to date" in invoke(chain, *command).stderr
        assert (folder / "lock").exists() and (folder / "run.json").exists()
        assert str(os.getpid()) in invoke(chain, *command, "--force", status=73).stderr
    finally:
        forced.release()
    assert "up to date" in invoke(chain, *command).stderr
    assert litter(chain) == []


def test_a_command_that_is_refused_leaves_nothing(chain: Path) -> None:
    words = invoke(chain, "pretrain-apc", "a.h5", "--preset", "nano", "--split", "none",
                   "-o", "x.safetensors", status=65)  # fmt: skip
    assert "split" in words.stderr and litter(chain) == []


def test_interrupted_from_the_keyboard(chain: Path) -> None:
    """Ctrl-C saves and ends with 130; a changed option is refused once there is work to lose."""
    command = (*COMMANDS["pretrain"][:-3], 4000, "--batch-seconds", 4, "-o", "out.safetensors")
    saved = chain / "out.safetensors.state" / "state.safetensors"
    process = Running(chain, *command)
    status, words = interrupt(process, signal.SIGINT, saved.exists, 0.3)
    assert status == 130 and "stopped by SIGINT" in words and "second Ctrl-C" in words
    assert "Traceback" not in words
    found = invoke(chain, *command, "--seed", 1, status=73)
    assert "unfinished run" in found.stderr
    # It may have been in an evaluation.
    assert ", step " in found.stderr or "evaluation-" in found.stderr


RACERS = 6


def _race(path: Path, number: int, begin: float, locks: bool) -> int:
    """In a fork: 0 where it has the lock while the others are refused, 73 where it was refused."""
    if not locks:
        lock.fcntl.flock = _no_flock
    time.sleep(max(0.0, begin - time.time()) + number * 0.002)
    try:
        held = lock.acquire(path, Path("x"), lambda words: None)
        time.sleep(3 * lock.SETTLE_S)
        held.check()
    except LockedError as error:
        return error.status
    return 0


def _no_flock(descriptor: int, operation: int) -> None:
    raise OSError(38, "Function not implemented")


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("kernel", ["this", "another", "none"])
def test_a_race_has_one_winner(path: Path, locks: bool, kernel: str, monkeypatch) -> None:
    """For the lock of a dead process, of a silent machine, or for a new one."""
    monkeypatch.setattr(lock, "SETTLE_S", 0.5)
    monkeypatch.setattr(lock, "SILENT_S", 0.2)
    if kernel != "none":
        _written(path, **({} if kernel == "this" else {"host": "node17", "kernel": "another"}))
    begin, racers = time.time() + 0.1, []
    for number in range(RACERS):
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = _race(path, number, begin, locks)
            os._exit(status)
        racers.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in racers]
    assert sorted(statuses) == [0] + [73] * (RACERS - 1)


@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder", "loop", "state is a file"])
def test_what_is_no_lock_file_is_neither_followed_nor_waited_for(
    kind: str, path: Path, tmp_path: Path, words: list[str]
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    if kind != "state is a file":
        path.parent.mkdir()
    if kind == "link":
        path.symlink_to(mine)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.parent.write_text("mine")
    named = path.parent if kind == "state is a file" else path
    with pytest.raises(WriteError, match=f"{re.escape(str(named))} lies where"):
        lock.acquire(path, Path("x.safetensors"), words.append)
    assert mine.read_text() == "mine"
