"""Commands whose descriptors 0 to 2 are closed: the same files, and nothing mixed in."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avaffect.data import manifest

ROOT = Path(__file__).resolve().parent.parent
CLOSINGS = ["<&-", ">&-", "2>&-"]
# All but the one that closes nothing.
COMBINATIONS = [
    " ".join(chosen) for count in (1, 2, 3) for chosen in itertools.combinations(CLOSINGS, count)
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings, one of them lost (a warning), and their manifest."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(2):
        samples = np.random.default_rng(number).normal(0, 0.1, 4000)
        soundfile.write(folder / f"u{number}.wav", samples, 16000)
    items = [{"id": f"u{n}", "media": f"u{n}.wav", "speaker": f"s{n}"} for n in range(3)]
    manifest.write(folder / "m.jsonl", manifest.new_header("corpus", labels={}), items)
    return folder


def _run(command: str, closed: str, folder: Path) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AVAFFECT_PYTHON": sys.executable}
    line = f"{command} {closed}"
    return subprocess.run(["sh", "-c", line], cwd=folder, env=environment, timeout=120).returncode


def _preprocess(corpus: Path, tmp_path: Path, closed: str) -> bytes:
    """The store that the checkout's script makes."""
    output = tmp_path / "s.h5"
    line = f"{ROOT}/bin/avaffect preprocess {corpus}/m.jsonl --without video --jobs 1 -o {output}"
    assert _run(line, closed, corpus) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.h5", "s.h5.lost.jsonl"]
    return output.read_bytes()


def _select(corpus: Path, tmp_path: Path, closed: str) -> bytes:
    """A manifest to a file; the summary goes to standard error."""
    output = tmp_path / "out.jsonl"
    line = f"{sys.executable} -m avaffect select {corpus}/m.jsonl --where id!=u1 -o {output}"
    assert _run(line, closed, tmp_path) == 0
    return output.read_bytes()


@pytest.mark.parametrize("make", [_select, _preprocess])
def test_closed_descriptors_change_no_file(make, corpus: Path, tmp_path: Path) -> None:
    chosen = COMBINATIONS if make is _select else ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
    made = {}
    for number, closed in enumerate(["", *chosen]):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        made[closed] = make(corpus, folder, closed)
    assert len(set(made.values())) == 1, [closed for closed in made if made[closed] != made[""]]


def test_data_goes_to_an_open_standard_output_alone(corpus: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    for closed, script in (
        ("2>&-", f"{ROOT}/bin/avaffect"),
        ("<&- 2>&-", f"{sys.executable} -m avaffect"),
    ):
        line = f"{script} select {corpus}/m.jsonl --where id!=u1 > {whole}"
        assert _run(line, closed, tmp_path) == 0
        assert len(manifest.read(whole)) == 2, (closed, script)


def test_a_closed_standard_input_is_an_empty_one(corpus: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    line = f"{sys.executable} -m avaffect select - --where id=u1 2> {said}"
    assert _run(line, "<&-", tmp_path) == 65
    assert "Traceback" not in said.read_text()


def test_data_to_a_closed_standard_output_are_an_error(corpus: Path, tmp_path: Path) -> None:
    """Not lost with status 0; what has no data there goes on."""
    said = tmp_path / "said"
    for command, status in (
        (f"select {corpus}/m.jsonl --where id=u1", 1),
        (f"info {corpus}/m.jsonl", 1),
        (f"select {corpus}/m.jsonl --where id=u1 -o {tmp_path}/m.jsonl", 0),
    ):
        line = f"{sys.executable} -m avaffect {command} 2> {said}"
        assert _run(line, ">&-", tmp_path) == status
        lines = said.read_text().splitlines()
        assert ("avaffect: standard output cannot be written" in lines[-1]) == bool(status)
        assert not any("Traceback" in line or "Exception" in line for line in lines)
