"""Commands that write utterance by utterance, stopped at any of them: the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from chain import invoke, litter
from running import Running

from avaffect.core import errors
from avaffect.core.kept import JOURNAL
from avaffect.data.store import journal
from avaffect.data.store.writer import StoreWriter
from avaffect.recipes.encoding import extraction
from avaffect.training import spool, state

WAVES = "wav-b/wav/synthB_000001.wav"
COMMANDS = {
    "extract": ("extract", "b.h5", "--model", "fav.safetensors", "--batch-seconds", 2),
    "units": ("extract", "b.h5", "--model", "kmeans.safetensors", "--batch-utterances", 3),
    "shard": ("extract", "b.h5", "--model", "mfcc", "--shard", "1/2", "--batch-utterances", 3),
    "segments": ("extract", "b.h5", "--model", "mfcc", "--segment", 0.25, "--batch-seconds", 1),
    "frames": ("extract", "b.h5", "--model", "mfcc", "--frames-at", 5),
    "noise": ("augment-noise", "b.h5", "--noise", WAVES, "--snr", 5),
    "preprocess": ("preprocess", "b.jsonl", "-j", 1),
    "workers": ("preprocess", "b.jsonl", "-j", 2),
}  # fmt: skip
AT = 7


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each utterance is kept as soon as it is finished."""
    monkeypatch.setattr(journal, "INTERVAL_S", 0.0)
    monkeypatch.setattr(spool.Pace, "due", lambda self, ahead_s=0.0: True)


def counted(patch: pytest.MonkeyPatch, then: Callable[[int], None] = lambda n: None) -> list[int]:
    """How many items were finished since now; `then(n)` runs after each."""
    done, finished = StoreWriter.done, [0]

    def method(self: StoreWriter, facts: object = None) -> None:
        done(self, facts)
        finished[0] += 1
        then(finished[0])

    patch.setattr(StoreWriter, "done", method)
    return finished


def stop(number: int) -> Callable[[int], None]:
    """Send this process a signal at its AT-th utterance."""

    def then(count: int) -> None:
        if count == AT:
            os.kill(os.getpid(), number)

    return then


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGKILL])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_bytes(
    chain: Path, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (*COMMANDS[name], "-o", "out.h5")
    with monkeypatch.context() as patch:
        whole = counted(patch)
        told = invoke(chain, *command).stderr
    expected = (chain / "out.h5").read_bytes()
    (chain / "out.h5").unlink()
    with monkeypatch.context() as patch:
        counted(patch, stop(number))
        process = Running(chain, *command)
        words = process.communicate()[1]
    status = -number if number == signal.SIGKILL else errors.PREEMPTED
    assert process.returncode == status, words
    assert not (chain / "out.h5").exists() and litter(chain) == ["out.h5.state"]
    with monkeypatch.context() as patch:
        finished = counted(patch)
        again = invoke(chain, *command).stderr
    assert finished[0] in (whole[0] - AT, whole[0] - AT + 1)
    assert (chain / "out.h5").read_bytes() == expected
    # What is said at the end is of all, not of the rest.
    assert again.splitlines()[-1] == told.splitlines()[-1]
    assert litter(chain) == []


def test_embeddings_and_predictions(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a task, rather than utterances of a store, are kept there: none is computed twice."""
    invoke(chain, "finetune", "a.h5", "--encoder", "fav.safetensors", "--epochs", 1, "--runs", 2,
           "-o", "er.safetensors")  # fmt: skip
    commands = (
        ("extract", "b.h5", "--model", "projector.safetensors", "--batch-utterances", 3,
         "--batch-seconds", 2, "-o", "out.h5"),
        ("predict", "b.h5", "--model", "er.safetensors", "--batch-seconds", 2, "-o", "out.jsonl"),
    )  # fmt: skip
    add = spool.Spool.add
    rows: list[int] = []

    def counting(self: spool.Spool, numbers: list[int], found: list[object]) -> None:
        rows.extend(numbers)
        add(self, numbers, found)

    def stopping(self: spool.Spool, numbers: list[int], found: list[object]) -> None:
        if len(rows) >= AT:
            signal.raise_signal(signal.SIGTERM)
        counting(self, numbers, found)

    def run(method: Callable[..., None], *command: object, status: int = 0) -> int:
        rows.clear()
        with monkeypatch.context() as patch:
            patch.setattr(spool.Spool, "add", method)
            invoke(chain, *command, status=status)
        return len(rows)

    for command in commands:
        output = chain / command[-1]
        whole = run(counting, *command)
        expected = output.read_bytes()
        output.unlink()
        first = run(stopping, *command, status=errors.PREEMPTED)
        assert AT <= first < 40 <= whole
        assert run(counting, *command) == whole - first
        assert output.read_bytes() == expected and litter(chain) == []


EXTRACT = (*COMMANDS["extract"], "-o", "out.h5")


@pytest.fixture
def stopped(chain: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of an extraction that was stopped."""
    with monkeypatch.context() as patch:
        counted(patch, stop(signal.SIGTERM))
        invoke(chain, *EXTRACT, status=errors.PREEMPTED)
    return chain / "out.h5.state"


def test_another_command_line_is_refused(chain: Path, stopped: Path) -> None:
    other = (*EXTRACT[:3], "kmeans.safetensors", "-o", "out.h5")
    assert "--fresh" in invoke(chain, *other, status=errors.OUTPUT_EXISTS).stderr
    invoke(chain, *EXTRACT, "--layer", 1, status=errors.OUTPUT_EXISTS)
    # Another input of the same name.
    shutil.copy(chain / "a.h5", chain / "b.h5")
    invoke(chain, *EXTRACT, status=errors.OUTPUT_EXISTS)
    assert (stopped / "store" / JOURNAL).exists()
    invoke(chain, *other, "--fresh")
    assert litter(chain) == []


def test_what_was_kept_is_discarded_on_demand(chain: Path, stopped: Path, monkeypatch) -> None:
    finished = counted(monkeypatch)
    invoke(chain, *EXTRACT, "--fresh")
    assert finished[0] == 40 and litter(chain) == []


@pytest.mark.parametrize("damage", ["journal", "journal cut", "values", "values cut", "no values"])
def test_damage_is_computed_again(chain: Path, stopped: Path, damage: str, monkeypatch) -> None:
    path = stopped / "store" / (JOURNAL if "journal" in damage else "0.spool")
    content = bytearray(path.read_bytes())
    if damage == "no values":
        path.unlink()
    elif "cut" in damage:
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    finished = counted(monkeypatch)
    invoke(chain, *EXTRACT)
    assert 40 - AT < finished[0] <= 40
    found = (chain / "out.h5").read_bytes()
    invoke(chain, *EXTRACT, "--force")
    assert (chain / "out.h5").read_bytes() == found and litter(chain) == []


def test_nothing_of_the_first_utterance_is_kept(chain: Path, monkeypatch) -> None:
    """Stopped before it: another command line takes the place."""

    def fail(*arguments: object, **options: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "compute", fail)
        invoke(chain, *EXTRACT, status=errors.PREEMPTED)
    invoke(chain, *EXTRACT, "--layer", 1)
    assert litter(chain) == []


def test_disk_use(stopped: Path) -> None:
    """The values themselves, and less than a kilobyte an utterance."""
    store = stopped / "store"
    lines = (store / JOURNAL).read_bytes().splitlines()[1:]
    steps = sum(json.loads(line[9:])[0][0]["spooled"][0][0] for line in lines)
    dim = json.loads((store / JOURNAL).read_bytes().splitlines()[0][9:])[0][3][0]
    assert (store / "0.spool").stat().st_size == steps * dim * 4
    assert (store / JOURNAL).stat().st_size < 1024 * (len(lines) + 1)


def test_a_folder_that_is_removed_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, which has made the same output."""

    def removed(folder: Path, pattern: str) -> list[Path]:
        raise FileNotFoundError(2, "No such file or directory", str(folder))

    monkeypatch.setattr(Path, "rglob", removed)
    assert state.work_in(tmp_path / "out.jsonl.state") is None
