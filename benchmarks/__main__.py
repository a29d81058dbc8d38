"""Every benchmark in turn, and at the end the targets that were missed.

    python -m benchmarks [--quick]

Each runs in a process of its own. The exit status is 1 where one of them failed: a missed target
depends on the machine and is no failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# What benchmarks.timing prints beside such a target.
MISSED = "MISSED"
MODULES = (
    "retrieve", "pools", "store", "preprocess", "extract", "encoder", "avhubert", "talking_face",
    "train", "lora", "windows", "layers", "startup", "predict", "mae", "vavl", "films", "million",
)  # fmt: skip


def run(module: str, options: list[str]) -> tuple[int, list[str]]:
    """Exit status of a benchmark, shown as it runs, and its lines about missed targets."""
    missed = []
    command = [sys.executable, "-u", "-m", f"benchmarks.{module}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if f" {MISSED}" in line:
                missed.append(f"{module}: {' '.join(line.split())}")
    return process.returncode, missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: that all of it runs")
    options = ["--quick"] if parser.parse_args().quick else []
    failed, missed = [], []
    for module in MODULES:
        status, lines = run(module, options)
        missed += lines
        if status:
            failed.append(module)
        print()
    print("targets missed:" if missed else "every target is met")
    for line in missed:
        print(f"  {line}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
