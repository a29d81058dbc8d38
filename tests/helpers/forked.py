"""Commands as forks of one process that has imported all of avaffect: their starts take no time.

For tests that run many commands as a shell or a Makefile does. A command has the arguments, folder,
environment, open files and status that it would have as a process of its own; signals do not reach
it, and what it imports has been imported.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import gc
import importlib
import math
import os
import pkgutil
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What torch and Lightning import when something is first trained; as long as torch itself.
LATE = ("torch._dynamo", "lightning_fabric.plugins", "lightning_fabric.strategies")
# Without site packages and with modules of the interpreter alone: 15 ms.
CLIENT = """#!{python} -IS
import _socket, array, os, sys
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect({address!r})
files = array.array("i", (0, 1, 2))
server.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
server.sendall(ascii((sys.argv[1:], os.getcwd(), dict(os.environ))).encode())
server.shutdown(_socket.SHUT_WR)
sys.exit((server.recv(1) or b"\\1")[0])
"""


@functools.cache
def client() -> Path:
    """The command `avaffect`, in a folder of its own; its server ends with this process, however
    that ends, and removes it."""
    folder = Path(tempfile.mkdtemp(prefix="avaffect-"))
    command = folder / "bin" / "avaffect"
    command.parent.mkdir()
    address = str(folder / "server")
    command.write_text(CLIENT.format(python=sys.executable, address=address))
    command.chmod(0o755)
    alive, ours = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        # Before the server has started: commands wait until it has.
        listener.bind(address)
        listener.listen(32)
        server = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno()), str(alive), str(folder)],
            pass_fds=(listener.fileno(), alive), env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    os.close(alive)
    atexit.register(_end, server, ours)
    return command


def _end(server: subprocess.Popen[bytes], alive: int) -> None:
    os.close(alive)
    server.wait()


def serve(listener: socket.socket, alive: int) -> None:
    """Answer until the other end of `alive` is closed."""
    import avaffect

    for module in pkgutil.walk_packages(avaffect.__path__, "avaffect."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # As in the tests' own process (conftest.py).
    importlib.import_module("avaffect.cli.command").LONG_S = math.inf  # type: ignore[attr-defined]
    for name in LATE:
        importlib.import_module(name)
    # Forks share what no collection touches.
    gc.freeze()
    while alive not in select.select([listener, alive], [], [])[0]:
        connection, _ = listener.accept()
        # Those that have ended.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            listener.close()
            os.close(alive)
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> None:
    """Run one command as its client would; never returns."""
    status = 1
    try:
        _, files, *_ = socket.recv_fds(connection, 1, 3)
        text = b"".join(iter(functools.partial(connection.recv, 65536), b""))
        arguments, folder, environment = ast.literal_eval(text.decode())
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["avaffect", *arguments]
        from avaffect.cli.main import run

        status = run(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        # As an interpreter that ends: worker processes are told.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        connection.sendall(bytes([status]))
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    shutil.rmtree(sys.argv[3])
