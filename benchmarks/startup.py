"""`avaffect --help` and `avaffect COMMAND --help` against a bare click program; commands that have
nothing to do against their `--help`.

    python -m benchmarks.startup [--quick]

CPU time of whole processes, in turns. The bare program has one group and one command.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from avaffect.cli.catalogue import COMMANDS
from benchmarks.nothing_to_do import CHAIN, build
from benchmarks.timing import Row, print_rows

ROOT = Path(__file__).resolve().parent.parent
TARGET = 1.5
# Of what is up to date, against the help of the same command.
UP_TO_DATE = 3.0
BARE = '''
import click


@click.group()
def group():
    """One group."""


@group.command()
@click.option("--number", type=int, default=1, help="A number.")
def command(number):
    """One command."""


if __name__ == "__main__":
    group()
'''


def cpu_seconds(module: str, arguments: tuple[str, ...], folder: Path) -> float:
    """CPU time of `python -m MODULE ARGUMENTS`."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {status}")
    return usage.ru_utime + usage.ru_stime


def ratio(ours: tuple[str, ...], bare: tuple[str, ...], folder: Path, repetitions: int) -> float:
    """Median ratio of our CPU time to the bare program's, after one turn that is not counted."""
    turns = [
        cpu_seconds("avaffect", (*ours, "--help"), folder)
        / cpu_seconds("bare_click", (*bare, "--help"), folder)
        for _ in range(repetitions + 1)
    ]
    return statistics.median(turns[1:])


def rerun_ratio(arguments: tuple[str, ...], folder: Path, repetitions: int) -> float:
    """Median ratio of the CPU time of a command with nothing to do to that of its help."""
    turns = [
        cpu_seconds("avaffect", arguments, folder)
        / cpu_seconds("avaffect", (arguments[0], "--help"), folder)
        for _ in range(repetitions + 1)
    ]
    return statistics.median(turns[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repetition")
    repetitions = 1 if parser.parse_args().quick else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare_click.py").write_text(BARE, encoding="utf-8")
        rows = [
            Row("avaffect --help", ratio((), (), folder, repetitions), TARGET, at_least=False),
            *(
                Row(f"avaffect {command} --help",
                    ratio((command,), ("command",), folder, repetitions), TARGET, at_least=False)
                for command in COMMANDS
            ),
        ]  # fmt: skip
        print_rows("start-up against a bare click program (CPU time)", rows)
        build(folder)
        rows = [
            Row(f"avaffect {' '.join(arguments[:2])}",
                rerun_ratio(arguments, folder, repetitions), UP_TO_DATE, at_least=False)
            for arguments in CHAIN
        ]  # fmt: skip
        print_rows("up to date, against the help of the command (CPU time)", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
