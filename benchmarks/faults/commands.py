"""Every command once, with an output of its own, and how it is run under a fault.

A try is survived where the status is one that avaffect(1) documents for the fault, nothing but the
output of an undisturbed run is under the output's name, the same command again makes that, with
nothing left beside it, and no other file has changed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import importlib
import os
import pkgutil
import shutil
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import nothing_to_do
from benchmarks.nothing_to_do import CHAIN

OUT = "out"
STEPS = "5"
# Of voices alone they make an encoder that is not trained.
OF_FACES = tuple(f"pretrain-{task}" for task in ("l1", "odd", "lira", "mae", "byol", "dino"))
# Seconds until a command that hangs is killed; the longest takes a few.
LIMIT_S = 60.0
# Seconds in which the processes of a command that has ended must end too.
WORKERS_S = 10.0
# Files of a command that may differ from run to run: times are in them, and the page of `train`
# refers to one.
TIMED = (".metrics.jsonl", "out/report.html")
LATE = ("torch._dynamo", "lightning_fabric.plugins", "lightning_fabric.strategies")


@dataclass(frozen=True)
class Command:
    """A command line that writes OUT and a suffix."""

    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.arguments)

    @property
    def name(self) -> str:
        return self.arguments[0]

    @property
    def output(self) -> str:
        """A file, or a folder of files."""
        option = "--plot" if self.name == "monitor" else "-o"
        return self.arguments[self.arguments.index(option) + 1]

    def outputs(self, files: Iterable[str]) -> set[str]:
        """Those of the files that are the output, or in it."""
        return {name for name in files if name == self.output or self.output in parents(name)}

    @property
    def trains(self) -> bool:
        return "--save-every" in self.arguments


def parents(name: str) -> set[str]:
    return {*map(str, Path(name).parents)}


def _of(arguments: Sequence[str], *more: str) -> Command:
    """A command of the chain with another output, and long enough to be disturbed."""
    trains = "--steps" in arguments and arguments[0] not in OF_FACES
    found = [OUT if part == "wav" and arguments[0] == "synth" else part for part in arguments]
    for place, part in enumerate(arguments):
        if part == "-o":
            found[place + 1] = OUT + Path(found[place + 1]).suffix
        if part == "--steps" and trains:
            found[place + 1] = STEPS
    saving = ("--save-every", "2") if trains else ()
    return Command((*found, *saving, *more))


COMMANDS = (
    *(_of(arguments) for arguments in CHAIN),
    _of(("synth", "wav", "--utterances", "12", "--speakers", "3", "--modality", "audio",
         "-o", "c.jsonl", "-j", "2")),
    _of(("preprocess", "c.jsonl", "-o", "a.h5", "-j", "2")),
    _of(("extract", "a.h5", "--model", "mfcc", "-o", "f.h5", "-j", "2")),
    _of(("extract", "a.h5", "--model", "hubert.safetensors", "--batch-utterances", "2",
         "-o", "f.h5")),
    _of(("extract", "a.h5", "--model", "mfcc", "--segment", "0.25", "-o", "f.h5")),
    _of(("predict", "a.h5", "--model", "lora.safetensors", "-o", "p.jsonl")),
    _of(("finetune", "a.h5", "--encoder", "hubert.safetensors", "--runs", "2", "--steps", "1",
         "--select", "none", "-o", "er.safetensors")),
    _of(("eval-embeddings", "e.h5", "-o", "scores.json")),
    _of(("compare", "a=p.jsonl", "b=p.jsonl", "-o", "compared.json")),
    _of(("export", "c.jsonl", "--to", "kaldi", "-o", "kaldi")),
    _of(("export", "e.h5", "--to", "npy", "-o", "npy")),
    Command(("monitor", "er.safetensors", "--once", "--plot", f"{OUT}.svg")),
    Command(("train", "split.jsonl", "--epochs", "1", "-j", "1", "-o", OUT)),
)  # fmt: skip
# Two commands of one line are one.
COMMANDS = tuple({str(one): one for one in COMMANDS}.values())
# Encoders that are not trained differ in nothing but their weights.
DISTINCT = tuple(one for one in COMMANDS if one.name not in OF_FACES[1:])


def preload() -> None:
    """Import all that commands need: a fork then starts at once."""
    import avaffect

    for module in pkgutil.walk_packages(avaffect.__path__, "avaffect."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


class Running:
    """A command in a fork of this process, or as a process of its own, that leads a session."""

    def __init__(
        self,
        arguments: Sequence[str],
        before: Callable[[], None] = lambda: None,
        fork: bool = True,
        words: str = "words",
    ) -> None:
        self.words = Path("..").resolve() / f"{words}.{os.getpid()}"
        self.began = time.monotonic()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(arguments, before, fork)

    def _run(self, arguments: Sequence[str], before: Callable[[], None], fork: bool) -> None:
        """Never returns."""
        status = 1
        try:
            os.setsid()
            # The temporary folders are the parent's.
            weakref.finalize._registry.clear()  # type: ignore[attr-defined]
            devnull = os.open(os.devnull, os.O_RDWR)
            said = os.open(self.words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            for number, opened in enumerate((devnull, devnull, said)):
                os.dup2(opened, number)
            before()
            if not fork:
                os.execv(sys.executable, [sys.executable, "-m", "avaffect", *arguments])
            from avaffect.cli.main import main

            sys.argv = ["avaffect", *arguments]
            main(list(arguments))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            # As an interpreter that ends.
            with contextlib.suppress(BaseException):
                threading._shutdown()  # type: ignore[attr-defined]
                atexit._run_exitfuncs()
                sys.stderr.flush()
            os._exit(status)

    def handles(self, number: int) -> bool:
        """Whether the process has a handler of a signal: before, its start is the interpreter's."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
        return True

    def poll(self) -> int | None:
        """The status, once it has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, until_s: float = LIMIT_S) -> int | None:
        """The status; None where it still runs so many seconds after its start."""
        while (status := self.poll()) is None and time.monotonic() < self.began + until_s:
            time.sleep(0.001)
        return status

    def end(self) -> int:
        """The status; that of SIGKILL where it hangs."""
        status = self.wait()
        if status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise TimeoutError("hangs")
        return status

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace").strip()


def left_of(session: int) -> set[int]:
    """Processes of a session that do not end in time."""
    deadline = time.monotonic() + WORKERS_S
    while (found := set(_members(session))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _members(session: int) -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
                state, _, _, of = text.rpartition(")")[2].split()[:4]
                if int(of) == session and state not in "ZX":
                    yield int(entry)


def digests(own: bool) -> dict[str, str]:
    """File -> hash, of what the current folder has: outputs of the command (`own`), or the rest."""
    found = {}
    for path in sorted(Path().rglob("*")):
        is_own = path.parts[0].startswith((OUT, f".{OUT}"))
        if path.is_file() and is_own == own and not str(path).endswith(TIMED):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def clear() -> None:
    for path in [*Path().glob(f"{OUT}*"), *Path().glob(f".{OUT}*")]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@dataclass(frozen=True)
class Whole:
    """What an undisturbed command makes, how long it takes in a fork, and what else is there."""

    made: dict[str, str]
    seconds: float
    others: dict[str, str]


@functools.cache
def undisturbed(command: Command) -> Whole:
    clear()
    running = Running(command.arguments)
    status = running.end()
    seconds = time.monotonic() - running.began
    if status:
        raise RuntimeError(f"{command}: {status}: {running.said()}")
    return Whole(digests(own=True), seconds, digests(own=False))


def judged(command: Command, running: Running, expected: Sequence[int]) -> str | None:
    """What went wrong in a command that was disturbed, and in the same command after it."""
    whole = undisturbed(command)
    try:
        status = running.end()
    except TimeoutError:
        return "hangs"
    if left_of(running.pid):
        return "processes left"
    if status not in expected:
        return f"status {status}"
    return wrong_now(command, whole, status) or wrong_again(command, whole)


def wrong_now(command: Command, whole: Whole, status: int) -> str | None:
    made = digests(own=True)
    names = command.outputs(whole.made)
    if any(made.get(name, whole.made[name]) != whole.made[name] for name in names):
        return "another output"
    if status == 0 and not names <= made.keys():
        return "success without an output"
    return "other files changed" if digests(own=False) != whole.others else None


def wrong_again(command: Command, whole: Whole) -> str | None:
    running = Running(command.arguments)
    try:
        status = running.end()
    except TimeoutError:
        return "hangs when run again"
    if status:
        return f"status {status} when run again: {running.said()}"
    if digests(own=True) != whole.made:
        return "another output when run again"
    return "other files changed" if digests(own=False) != whole.others else None


def _build(folder: Path) -> None:
    """In a fork: a process whose threads have computed cannot fork others that compute."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            nothing_to_do.build(folder)
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the chain cannot be made")


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """The chain, as the current folder."""
    place = folder / "chain"
    place.mkdir()
    preload()
    _build(place)
    before = Path.cwd()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)
