"""Commands left running as forks of the tests' own process: they start in no time, and signals
reach them as they would any process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from avaffect.cli.main import run


class Running:
    """`avaffect ARGUMENTS...`, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, cwd: Path, *arguments: object, stdin: Path | None = None) -> None:
        self.returncode: int | None = None
        self._said = Path(tempfile.mkdtemp())
        with warnings.catch_warnings():
            # Of threads in this process (Python 3.12).
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._run(cwd, [str(argument) for argument in arguments], stdin or Path(os.devnull))

    def _run(self, cwd: Path, arguments: list[str], source: Path) -> None:
        """In the fork; never returns."""
        status = 1
        try:
            files = source.open("rb"), *((self._said / name).open("wb") for name in ("out", "err"))
            for number, file in enumerate(files):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "rww"[n]) for n in range(3))
            os.chdir(cwd)
            status = run(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(status)

    def poll(self) -> int | None:
        """The status, negative where a signal ended it; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {timeout} s")
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """What it wrote to standard output and to standard error, once it has ended."""
        self.wait(timeout)
        out, err = ((self._said / name).read_text("utf-8") for name in ("out", "err"))
        shutil.rmtree(self._said)
        return out, err
