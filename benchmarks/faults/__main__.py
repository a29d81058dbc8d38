"""The table of faults, and an exit status of 1 where one was not survived.

python -m benchmarks.faults [--quick] [KIND ...]
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.table import show

# One module of this package a kind of fault.
KINDS = ("damaged_files", "damaged_states")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS, help=", ".join(KINDS))
    parser.add_argument("--quick", action="store_true", help="few tries: that all of it runs")
    parser.add_argument("--examples", action="store_true", help="one command for all that failed")
    options = parser.parse_args()
    lines = []
    for kind in options.kinds:
        module = importlib.import_module(f"benchmarks.faults.{kind}")
        with tempfile.TemporaryDirectory() as folder:
            lines += module.tries(Path(folder), options.quick)
    show(lines, options.examples)
    return int(any(line.bad for line in lines))


if __name__ == "__main__":
    sys.exit(main())
