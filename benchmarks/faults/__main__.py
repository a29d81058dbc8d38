"""The table of faults, and an exit status of 1 where one was not survived.

python -m benchmarks.faults [--quick] [KIND ...]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from benchmarks.faults.kinds import KINDS, tries
from benchmarks.faults.table import show


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS, help=", ".join(KINDS))
    parser.add_argument("--quick", action="store_true", help="few tries: that all of it runs")
    parser.add_argument("--examples", action="store_true", help="one command for all that failed")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="kinds tried side by side")  # fmt: skip
    options = parser.parse_args()
    # Kinds try in forks, where OpenMP waits for ever for threads that its process had started.
    os.environ["OMP_NUM_THREADS"] = "1"
    tried = functools.partial(tries, quick=options.quick)
    if options.jobs == 1 or len(options.kinds) == 1:
        parts = list(map(tried, options.kinds))
    else:
        # Each in a process that has computed nothing.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, context, max_tasks_per_child=1) as pool:
            parts = list(pool.map(tried, options.kinds))
    lines = [line for part in parts for line in part]
    show(lines, options.examples)
    return int(any(line.bad for line in lines))


if __name__ == "__main__":
    sys.exit(main())
