"""Files of other kinds than a command reads: what they are is said, and what to type, at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wrong_files import SLOTS

from avaffect.core import filekind

TESTS = Path(__file__).resolve().parent
HELPERS = TESTS / "helpers"
# What libraries say of a file that they do not understand.
RAW = ("Errno", "codec", "unexpected", "Expecting", "Traceback", "not JSON", "Invalid data")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, str(HELPERS / "wrong_files.py"), str(tmp_path_factory.mktemp("wrong"))],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), str(TESTS.parent)])},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("slot", SLOTS)
def test_what_a_file_is_and_what_to_do(slot: str, found: dict[str, Any]) -> None:
    assert len(found["said"][slot]) > 9
    for name, said in found["said"][slot].items():
        assert said.startswith("avaffect: ") and said.count("\n") == 1, f"{name}: {said}"
        assert name in said and not any(word in said for word in RAW), said
        kind = found["kinds"].get(name, "no such file")
        known = kind in said or name.removesuffix(".safetensors") in said
        assert known or "is not a manifest" in said or "holds settings" in said, f"{name}: {said}"


def test_nothing_is_made_and_nothing_heavy_imported(found: dict[str, Any]) -> None:
    assert found["made"] == []
    assert found["heavy"] == []


@pytest.mark.parametrize(
    ("slot", "name", "command"),
    [
        ("preprocess", "folder", "avaffect manifest CORPUS folder -o M.jsonl"),
        ("preprocess", "table.csv", "avaffect manifest table table.csv --media COLUMN -o M.jsonl"),
        ("preprocess", "sound.wav", "avaffect manifest table TABLE.csv --media COLUMN -o M.jsonl"),
        ("preprocess", "packed.jsonl.gz", "gunzip -k packed.jsonl.gz"),
        ("preprocess", "store.h5", "avaffect info store.h5"),
        ("finetune", "folder", "then: avaffect preprocess M.jsonl -o MEDIA.h5"),
        ("finetune", "corpus.jsonl", "avaffect preprocess corpus.jsonl -o MEDIA.h5"),
        ("finetune", "encoder.safetensors", "avaffect extract MEDIA.h5 --model encoder.safetens"),
        ("finetune --encoder", "weights.pt", "avaffect import weights.pt -o X.safetensors"),
        ("finetune --encoder", "foreign.safetensors", "avaffect import foreign.safetensors -o"),
        ("finetune --encoder", "classifier.safetensors", "is the checkpoint of a classifier"),
        ("finetune --annotations", "table.csv", "avaffect manifest table table.csv"),
        ("predict --model", "encoder.safetensors", "avaffect finetune MEDIA.h5 --encoder"),
        ("adapt", "store.h5", "avaffect retrieve --query A.h5 --pool B.h5"),
        ("adapt", "empty.jsonl", "make it again"),
        ("info", "weights.pt", "avaffect import weights.pt"),
    ],
)
def test_the_command_to_type(slot: str, name: str, command: str, found: dict[str, Any]) -> None:
    assert command in found["said"][slot][name]


def test_kinds_by_their_first_bytes() -> None:
    """Names do not count: text of any encoding, and what begins like something else."""
    for start, kind in (
        (b"\x89HDF\r\n\x1a\n....", filekind.STORE),
        (b"\x89HD", filekind.STORE),
        (b"\xef\xbb\xbf  {}\n", filekind.JSON),
        (b'{"kind":"header","content":"corpus","format":"avaffect-manifest"}\n',
         "a manifest of a corpus"),
        ("größe;alter\n".encode("latin-1"), filekind.TABLE),
        ("a\tb\n".encode("utf-16"), filekind.TABLE),
        (b"\x80\x04\x95", filekind.WEIGHTS),
        (b"\xfd7zXZ\x00", "compressed by xz"),
        (b"\x01\x02\x03", filekind.UNKNOWN),
    ):  # fmt: skip
        assert filekind.kind_of_bytes(start) == kind
