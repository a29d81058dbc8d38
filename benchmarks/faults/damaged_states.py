"""Damaged states of stopped training, and what the same command said, run again.

A damage is survived where the command refuses the file by its name with status 65, or ends with
what an undisturbed run makes: the same bytes; where a message names the damaged file, the same
weights (the history of a run tells how it ended).
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avaffect.core.checkpoint_header import read_header
from benchmarks.faults.damages import Damage, damages
from benchmarks.faults.reading import judged
from benchmarks.faults.table import Line
from benchmarks.faults.trying import built, command, digest_of, each

POSITIONS = 208
QUICK = 16
SEED = 18
STOP_AT = 3
# Commands that are stopped, and where: at their third step, or where rows are kept.
STOPPED = {
    "finetune": (
        "finetune mfcc.h5 --steps 6 --batch-utterances 3 --select none --save-every 2",
        "avaffect.training.step:Stepper.take",
    ),
    "pretrain-apc": (
        "pretrain-apc a.h5 --preset nano --steps 5 --save-every 2",
        "avaffect.training.step:Stepper.take",
    ),
    "adapt": ("adapt - --steps 5 --save-every 2", "avaffect.training.step:Stepper.take"),
    "cluster": (
        "cluster a.h5 -k 3 --initialisations 1", "avaffect.training.spool:Spool.add",
    ),
}  # fmt: skip
OUTPUT = Path("stopped.safetensors")


@dataclass(frozen=True)
class Stopped:
    """A stopped command: its arguments, a copy of what it left, and of the output of a whole run
    the hash and the content id."""

    arguments: list[str]
    kept: Path
    made: str
    content_id: str


def tries(folder: Path, quick: bool) -> list[Line]:
    """Each file of each state with its share of POSITIONS damages. folder: an empty one."""
    built(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        states = {name: _stopped(name, *told) for name, told in STOPPED.items()}
        files = [
            (name, path.relative_to(state.kept))
            for name, state in states.items()
            for path in sorted(state.kept.rglob("*"))
            if path.is_file() and path.stat().st_size
        ]
        count = QUICK if quick else POSITIONS
        return [
            _of_file(states[name], name, path, count // len(files) + (n < count % len(files)))
            for n, (name, path) in enumerate(files)
        ]
    finally:
        os.chdir(before)


def _stopped(name: str, line: str, place: str) -> Stopped:
    arguments = [*line.split(), "-o", str(OUTPUT)]
    (said,) = (found for _, found in each(1, lambda _: asdict(_run(arguments))))
    if said["status"]:
        raise RuntimeError(f"{line}: {said['err']}")
    made, content = digest_of([OUTPUT]), read_header(OUTPUT)["content_id"]
    _clear()
    (status,) = (found for _, found in each(1, lambda _: _stop(arguments, place)))
    if status != 75:
        raise RuntimeError(f"{line}: stopped with {status}")
    kept = Path("kept") / name
    kept.mkdir(parents=True)
    for path in Path().glob(f"{OUTPUT}.*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, kept / path.name)
    _clear()
    return Stopped(arguments, kept, made, content)


def _run(arguments: list[str]) -> Any:
    """In a fork: adapt reads its manifest from a pipe."""
    with Path("r.jsonl").open(encoding="utf-8") as stream:
        sys.stdin = stream
        return command(arguments)


def _stop(arguments: list[str], place: str) -> int:
    """The status of a command that gets SIGTERM at the third call of a method."""
    with _stopping(place):
        return _run(arguments).status


@contextmanager
def _stopping(place: str) -> Iterator[None]:
    from avaffect.cli.catalogue import imported

    owner, _, method = place.rpartition(".")
    of = imported(owner)
    plain, calls = getattr(of, method), iter(range(STOP_AT))

    def stops(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) == STOP_AT - 1:
            signal.raise_signal(signal.SIGTERM)
        return plain(*arguments, **options)

    setattr(of, method, stops)
    try:
        yield
    finally:
        setattr(of, method, plain)


def _clear() -> None:
    for path in Path().glob(f"{OUTPUT}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _of_file(state: Stopped, name: str, path: Path, count: int) -> Line:
    content = (state.kept / path).read_bytes()
    header = [range(min(8 + int.from_bytes(content[:8], "little"), len(content)))]
    drawn = list(damages(content, header if path.suffix != ".json" else [], count, SEED))
    line = Line(f"damaged state: {name}, {path.name}")

    def attempt(number: int) -> dict[str, Any]:
        _clear()
        shutil.copytree(state.kept, ".", dirs_exist_ok=True)
        path.write_bytes(drawn[number].content)
        said = _run(state.arguments)
        same = digest_of([OUTPUT]) == state.made
        if said.status == 0 and path.name in said.err:
            same = read_header(OUTPUT)["content_id"] == state.content_id
        return {**asdict(said), "same": same}

    again = 0
    for (_, found), damage in zip(each(len(drawn), attempt), drawn):
        line.add(judged(found, path.name), _example(damage, state, found))
        again += found.get("status") == 0
    line.note = f"{again} went on" * bool(again)
    return line


def _example(damage: Damage, state: Stopped, found: dict[str, Any]) -> str:
    return f"{damage}: {' '.join(state.arguments)}: {found.get('err', found)}".strip()
