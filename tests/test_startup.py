"""torch comes with the work: not for what is up to date, not for mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avaffect.cli.catalogue import COMMANDS
from avaffect.recipes.common import command_lines
from avaffect.recipes.common.ancestry import ancestry
from benchmarks.nothing_to_do import CHAIN, ELSEWHERE, build

ROOT = Path(__file__).resolve().parent.parent
# Run one after the other in one process: what each imported of these, and what it said.
RUN = """
import contextlib, io, json, sys
from avaffect.cli.main import run
HEAVY = ("torch", "sklearn", "lightning_fabric", "safetensors", *sys.argv[1].split())
found, known = [], set()
for arguments in json.load(sys.stdin):
    words, shown = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stderr(words), contextlib.redirect_stdout(shown):
        status = run(arguments)
    new = [name for name in HEAVY if name in sys.modules and name not in known]
    known |= {*new}
    found.append([status, words.getvalue(), new])
print(json.dumps(found))
"""
# Not for what is up to date either; a gallery is drawn to be compared, by OpenCV.
OTHERS = "av joblib scipy soundfile"
MISTAKES = (
    "retrieve --query e.h5 --pool e.h5 -T 0",
    "retrieve --query e.h5 --pool e.h5 -T nan",
    "retrieve --query e.h5 --pool e.h5 --draws 0",
    "similarity --query e.h5 --pool e.h5 --top 0 -o new.h5",
    "cluster a.h5 -k 1 -o new.safetensors",
    "cluster a.h5 --layer 2 -o new.safetensors",
    "cluster a.h5 --model hubert.safetensors --layer 0 -o new.safetensors",
    "cluster a.h5 --model hubert.safetensors --layer 5 -o new.safetensors",
    "extract a.h5 --model hubert.safetensors --layer 5 -o new.h5",
    "extract a.h5 --model mfcc --layer 2 -o new.h5",
    "extract a.h5 --model mfcc --modality video -o new.h5",
    "extract a.h5 --model kmeans.safetensors --layer 2 -o new.h5",
    "extract a.h5 --model kmeans.safetensors --modality audio -o new.h5",
    "extract a.h5 --model projector.safetensors --pooled-only -o new.h5",
    "extract a.h5 --model projector.safetensors --shard 0/2 -o new.h5",
    "extract a.h5 --model mfcc --device toaster -o new.h5",
    "extract a.h5 --model mfcc --device cpu --precision 16 -o new.h5",
    "pretrain-hubert a.h5 --units units.h5 --fraction 2 -o new.safetensors",
    "pretrain-hubert a.h5 --units units.h5 --masking input -o new.safetensors",
    "pretrain-hubert a.h5 --units units.h5 --init hubert.safetensors --modality av",
    "pretrain-apc a.h5 --device toaster -o new.safetensors",
    "pretrain-l1 a.h5 --preview a.h5 -o new.safetensors",
    "pretrain-byol a.h5 --accumulate 2 -o new.safetensors",
    "train-projector a.h5 --encoder hubert.safetensors --batch-utterances 1",
    "train-projector a.h5 --encoder hubert.safetensors --accumulate 2",
    "train-projector a.h5 --encoder hubert.safetensors --train-encoder --statistics corpus",
    "train-projector a.h5 --encoder hubert.safetensors --layer 5 -o new.safetensors",
    "adapt r.jsonl --layer 5 -o new.safetensors",
    "adapt r.jsonl --without ec --without dc --without pt -o new.safetensors",
    "adapt r.jsonl --units units.h5 --without pt -o new.safetensors",
    "finetune mfcc.h5 --hidden 9 -o new.safetensors",
    "finetune a.h5 --encoder hubert.safetensors --layer 5 -o new.safetensors",
    "finetune a.h5 --encoder hubert.safetensors --freeze head -o new.safetensors",
    "finetune a.h5 --encoder pase.safetensors --layers weighted -o new.safetensors",
    "finetune mfcc.h5 --select ccc -o new.safetensors",
    "finetune mfcc.h5 --delay 1 -o new.safetensors",
    "predict mfcc.h5 --model er.safetensors --step 2 -o new.jsonl",
    "predict mfcc.h5 --model er.safetensors -o new.csv",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    build(folder)
    return folder


def _run(folder: Path, commands: list[list[str]], heavy: str = "") -> list[list]:
    found = subprocess.run(
        [sys.executable, "-c", RUN, heavy], input=json.dumps(commands), cwd=folder,
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_all_commands_are_here() -> None:
    assert {*COMMANDS} == {arguments[0] for arguments in CHAIN} | {*ELSEWHERE}


def test_up_to_date_without_torch(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for arguments, found in zip(CHAIN, _run(folder, [list(a) for a in CHAIN], OTHERS), strict=True):
        status, said, imported = found
        line, output = " ".join(arguments), arguments[arguments.index("-o") + 1]
        assert status == 0 and f"{output} is up to date" in said, f"{line}: {said}"
        assert imported == [], f"{line} imports {imported}"
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_lines_of_the_lineage_are_up_to_date(folder: Path, monkeypatch) -> None:
    """What `lineage --make` reads from the provenance is what made the file."""
    monkeypatch.chdir(folder)
    outputs = [arguments[arguments.index("-o") + 1] for arguments in CHAIN]
    outputs = [
        name for name in outputs if not name.endswith((".png", ".html", ".csv", "sealed.jsonl"))
    ]
    found = {each.path: each for each in ancestry(map(Path, outputs))}
    by_key = {each.key: each for each in found.values()}
    lines = [[*command_lines.arguments(found[o], by_key), "-o", o] for o in outputs]
    assert {line[0] for line in lines} >= {c for c, *_ in CHAIN} - {
        "seal",
        "gallery",
        "report",
        "export",
    }
    for line, (status, said, _) in zip(lines, _run(folder, lines, OTHERS), strict=True):
        assert status == 0 and f"{line[-1]} is up to date" in said, f"{line}: {said}"


def test_mistakes_without_torch(folder: Path) -> None:
    there = sorted(path.name for path in folder.iterdir())
    commands = [line.split() for line in MISTAKES]
    for line, (status, said, imported) in zip(MISTAKES, _run(folder, commands), strict=True):
        assert status == 2 and said.splitlines()[-1].startswith("avaffect: "), line + said
        assert imported == [], f"{line} imports {imported}"
    assert sorted(path.name for path in folder.iterdir()) == there


def test_a_dry_run_without_torch(folder: Path) -> None:
    lines = ("cluster a.h5 -k 5 -n -o new.safetensors", "pretrain-apc a.h5 -n -o new.safetensors",
             "finetune mfcc.h5 -n -o new.safetensors", "extract a.h5 --model logmel -n -o new.h5",
             "adapt r.jsonl -n -o new.safetensors")  # fmt: skip
    for line, (status, said, imported) in zip(lines, _run(folder, [li.split() for li in lines])):
        assert status == 0 and "would" in said and imported == [], f"{line}: {said} {imported}"
