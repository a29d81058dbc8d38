from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_benchmark_runs_and_its_gate_passes():
    command = [sys.executable, "-m", "benchmarks.retrieve", "--quick"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("chi-square p = ") == 6
    for line in ("L, 1 draw, auto (reject)", "U, 50 draws", "peak memory beyond the pool"):
        assert line in run.stdout


@pytest.mark.slow
def test_the_benchmark_of_pools_runs_and_shards_draw_alike():
    command = [sys.executable, "-m", "benchmarks.pools", "--quick"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("peak beyond program and pool") == 4
