"""Shared fixtures: the command line as users run it, and the real recordings where they lie."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# Tests run side by side: one thread each, and the same sums whatever the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As the command sets it before it imports torch, which reads it then.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

# A loaded machine is slow; that is no failure.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole examples first: a worker that began one last would work alone for minutes."""
    items.sort(key=lambda item: not item.path.name.startswith("test_examples"))


@pytest.fixture(scope="session", autouse=True)
def untimed() -> Iterator[None]:
    """A command says no time at its end, as it would on a loaded machine."""
    from avaffect.cli import command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "LONG_S", math.inf)
        yield


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that version 0.1 wrote, as the current folder."""
    folder = Path(shutil.copytree(Path(__file__).parent / "fixtures" / "v0.1", tmp_path / "files"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings; tests that need it are skipped where it is not."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def avaffect():
    """Runs `avaffect ARGUMENTS...` in a process of its own (see helpers/forked.py)."""
    from forked import client

    def run(*arguments: object, status: int = 0, **options) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            [client(), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            **{"stdin": subprocess.DEVNULL, **options},
        )
        assert found.returncode == status, f"{arguments}: {found.returncode}\n{found.stderr}"
        return found

    return run


@pytest.fixture(scope="session")
def shell():
    """Runs a line of bash with pipefail, `avaffect` on the path (see helpers/forked.py)."""
    from forked import client

    path = f"{client().parent}{os.pathsep}{os.environ['PATH']}"

    def run(line: str, cwd: Path, status: int = 0, **options) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            capture_output=True,
            text=True,
            timeout=600,
            cwd=cwd,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            **{"stdin": subprocess.DEVNULL, **options},
        )
        assert found.returncode == status, f"{line}: {found.returncode}\n{found.stderr}"
        return found

    return run


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen voices of four people made from a seed, a.jsonl and a.h5; not to be changed."""
    from chain import invoke

    folder = tmp_path_factory.mktemp("voices")
    invoke(folder, "synth", "wav", "--modality", "audio", "--utterances", 16, "--speakers", 4,
           "--shortest", 0.6, "--longest", 1.0, "-o", "a.jsonl", "-j", 1)  # fmt: skip
    invoke(folder, "preprocess", "a.jsonl", "-o", "a.h5", "-j", 1)
    return folder


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve talking faces of six people made from a seed, a.jsonl; not to be changed."""
    from chain import invoke

    folder = tmp_path_factory.mktemp("films")
    invoke(folder, "synth", "films", "--utterances", 12, "--speakers", 6, "--shortest", 0.6,
           "--longest", 0.8, "-o", "a.jsonl")  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def split_films(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`films`, half of them for training, in pictures of 48 pixels: a.jsonl, a.h5."""
    from chain import invoke

    folder = tmp_path_factory.mktemp("split-films")
    invoke(folder, "split", films / "a.jsonl", "--ratios", 50, 25, 25, "-o", "a.jsonl")
    invoke(folder, "preprocess", "a.jsonl", "--size", 48, "-o", "a.h5")
    return folder


@pytest.fixture(scope="session")
def chain_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain up to the embeddings, made once. Not to be changed: `chain` is a copy."""
    from chain import build

    folder = tmp_path_factory.mktemp("chain-made")
    build(folder)
    return folder


@pytest.fixture
def chain(chain_made: Path, tmp_path: Path) -> Path:
    """A folder of its own with stores, models and embeddings, ready for `retrieve | adapt`."""
    folder = tmp_path / "chain"
    shutil.copytree(chain_made, folder)
    return folder


@pytest.fixture
def adapted(chain: Path) -> Path:
    """`chain`, with an encoder that was adapted in one step."""
    from chain import invoke

    invoke(
        chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 1, "-o", "r.jsonl"
    )
    invoke(chain, "adapt", "r.jsonl", "--steps", 1)
    return chain
