"""bin/avaffect, the command of a checkout that is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_script_of_a_checkout_runs_with_any_python(tmp_path: Path) -> None:
    """A path, or a command that PATH has."""
    (tmp_path / "some-python").symlink_to(sys.executable)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for python, status in ((sys.executable, 0), ("some-python", 0), ("no-such-python", 2)):
        found = subprocess.run(
            [ROOT / "bin" / "avaffect", "--version"], capture_output=True, text=True,
            env={**os.environ, "AVAFFECT_PYTHON": python, "PATH": path,
                 "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        assert found.returncode == status, found.stderr
        assert ("no Python at" in found.stderr) == (status == 2)
