"""Work that processes, threads or another engine carry gives what one process gives."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from stores import write_store

from avaffect.core.errors import MachineFault
from avaffect.data.artifacts import describe
from avaffect.recipes import extract
from avaffect.recipes.encoding import dividing

COUNT = 9


@pytest.fixture
def media(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    waves = [random.integers(-9999, 9999, 1600 * n).astype(np.int16) for n in range(1, COUNT + 1)]
    write_store(tmp_path / "media.h5", {"waveform": (16000.0, waves)})
    return tmp_path


def identities(folder: Path, *names: str) -> set[str]:
    return {describe(folder / name).content_id for name in names}


@pytest.mark.parametrize("options", [(), ("--frames-at", 10, "--around", 0.1)], ids=["", "frames"])
def test_extract_by_several_workers(media: Path, options: tuple[object, ...]) -> None:
    command = ("extract", "media.h5", "--model", "logmel", *options)
    invoke(media, *command, "-o", "alone.h5")
    invoke(media, *command, "-j", 2, "-o", "two.h5")
    invoke(media, *command, "--backend", "threading", "-o", "threads.h5")
    assert len(identities(media, "alone.h5", "two.h5", "threads.h5")) == 1
    # How many worked is no setting of the result.
    made = [describe(media / name).provenance for name in ("alone.h5", "two.h5", "threads.h5")]
    assert made[0]["settings"] == made[1]["settings"] == made[2]["settings"]
    assert made[0]["inputs"] == made[1]["inputs"] == made[2]["inputs"]
    assert "up to date" in invoke(media, *command, "-j", 3, "-o", "alone.h5").stderr
    assert sorted(path.name for path in media.iterdir()) == sorted(
        ["media.h5", "alone.h5", "two.h5", "threads.h5"]
    )


def test_finished_shards_are_kept(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("extract", "media.h5", "--model", "logmel")
    whole = extract.extract_part
    numbers: list[str | None] = []

    def failing(part: dividing.Part) -> list[str]:
        numbers.append(part.settings.shard)
        if len(numbers) == 3:
            raise MachineFault("no memory")
        return whole(part)

    monkeypatch.setattr(extract, "extract_part", failing)
    failed = invoke(media, *command, "-j", 4, "--backend", "sequential", "-o", "f.h5", status=1)
    assert "no memory" in failed.stderr and not (media / "f.h5").exists()
    kept = {path: path.stat().st_ino for path in media.rglob("*-of-4.h5")}
    assert len(kept) == 2

    def finishing(part: dividing.Part) -> list[str]:
        found = whole(part)
        for path, inode in kept.items():
            assert path.stat().st_ino == inode
        return found

    monkeypatch.setattr(extract, "extract_part", finishing)
    invoke(media, *command, "-j", 4, "--backend", "sequential", "-o", "f.h5")
    invoke(media, *command, "-o", "alone.h5")
    assert len(identities(media, "f.h5", "alone.h5")) == 1
    assert not any(path.exists() for path in kept)


def test_a_store_that_is_replaced_meanwhile(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No output is made of parts of two stores."""
    whole, seen = extract.extract_part, []

    def replacing(part: dividing.Part) -> list[str]:
        seen.append(part.settings.shard)
        if len(seen) == 2:
            waves = [np.ones(1600, dtype=np.int16)] * COUNT
            write_store(media / "other.h5", {"waveform": (16000.0, waves)})
            (media / "other.h5").replace(media / "media.h5")
        return whole(part)

    monkeypatch.setattr(extract, "extract_part", replacing)
    command = ("extract", "media.h5", "--model", "logmel", "-j", 3, "--backend", "sequential")
    invoke(media, *command, "-o", "f.h5", status=65)
    assert not (media / "f.h5").exists()
    monkeypatch.setattr(extract, "extract_part", whole)
    invoke(media, *command, "-o", "f.h5")
    invoke(media, "extract", "media.h5", "--model", "logmel", "-o", "alone.h5")
    assert len(identities(media, "f.h5", "alone.h5")) == 1


def test_warnings_of_shards_are_heard(tmp_path: Path) -> None:
    waves = [np.zeros(0 if n == 1 else 1600, dtype=np.int16) for n in range(4)]
    write_store(tmp_path / "media.h5", {"waveform": (16000.0, waves)})
    found = invoke(tmp_path, "extract", "media.h5", "--model", "logmel", "-j", 2, "--backend",
                   "threading", "-o", "f.h5")  # fmt: skip
    assert found.stderr.count("warning: shard 0/2: 1 utterance has no frame") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "spark-of-joy"), "threading"),
        (("--backend", "multiprocessing", "-j", 2), "one of"),
        (("--backend", "dask"), "tcp://"),
        (("--backend", "dask:here"), "tcp://"),
        (("--backend", "threading:8"), "dask"),
        (("-j", 2, "--shard", "0/2"), "--shard"),
    ],
)
def test_mistakes(media: Path, options: tuple[object, ...], said: str) -> None:
    if "dask" in str(options[1]) and importlib.util.find_spec("distributed") is None:
        pytest.skip("Dask is not installed")
    command = ("extract", "media.h5", "--model", "logmel", *options, "-o", "f.h5")
    assert said in invoke(media, *command, status=2).stderr
    assert not (media / "f.h5").exists()


def test_without_workers(media: Path) -> None:
    pytest.importorskip("distributed")
    command = ("extract", "media.h5", "--model", "logmel", "--backend", "dask:tcp://127.0.0.1:1")
    environment = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    run = subprocess.run(
        [sys.executable, "-m", "avaffect", *map(str, command), "-o", "f.h5"],
        cwd=media, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 1 and run.stderr.count("\n") == 1, run.stderr


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[str]:
    """The address of a local cluster of two workers, which begin in another folder."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    program = [sys.executable, "-m", "dask"]
    scheduler = [*program, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                 "--scheduler-file", str(file)]  # fmt: skip
    worker = [*program, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads",
              "1", "--no-dashboard", "--local-directory", str(tmp_path / "space")]  # fmt: skip
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        str(Path(place).absolute()) for place in ["", *places]
    )}  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    started = [subprocess.Popen(scheduler, cwd=tmp_path, **quiet)]  # type: ignore[call-overload]
    try:
        for _ in range(600):
            if file.exists() and file.read_text().endswith("}"):
                break
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        started.append(subprocess.Popen(worker, cwd="/", **quiet))  # type: ignore[call-overload]
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def test_a_cluster_of_dask_carries_preprocess_and_extract(dask: str, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    invoke(tmp_path, "synth", "work", "--domain", "A", "--utterances", 4, "--modality", "audio",
           "-j", 1, "-o", "work/manifest.jsonl")  # fmt: skip
    for name, options in (("alone", ("-j", 1)), ("dask", ("--backend", f"dask:{dask}"))):
        invoke(folder, "preprocess", "manifest.jsonl", *options, "-o", f"{name}.h5")
        options = () if name == "alone" else options
        invoke(folder, "extract", f"{name}.h5", "--model", "logmel", *options, "-o", f"{name}-f.h5")
    assert len(identities(folder, "alone.h5", "dask.h5")) == 1
    assert len(identities(folder, "alone-f.h5", "dask-f.h5")) == 1
