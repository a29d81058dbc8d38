"""Commands killed at random moments: nothing half-written, and the rerun gives the same bytes."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from chain import interrupt, invoke, litter
from running import Running
from tiny_training import history

from avaffect.recipes.common.verification import verify

KILL, TERMINATE = signal.SIGKILL, signal.SIGTERM


def _has_saved(folder: Path) -> Callable[[], bool]:
    """Whether a state was saved since now."""

    def saved() -> list[tuple[Path, int]]:
        return [(path, path.stat().st_mtime_ns) for path in folder.glob("*.state/**/state.*")]

    before = saved()

    def moment() -> bool:
        # A state that is replaced, or discarded at the end, between the listing and the look.
        with contextlib.suppress(FileNotFoundError):
            return saved() != before
        return True

    return moment


TRAINING = {
    "pretrain": (
        "pretrain-hubert", "a.h5", "b.h5", "--units", "units_a.h5", "--units", "units_b.h5",
        "--preset", "nano", "--steps", 9, "--batch-seconds", 4, "-o", "out.safetensors",
    ),
    "adapt": ("adapt", "--steps", 9, "--batch-seconds", 4, "-o", "out.safetensors"),
    "finetune": (
        "finetune", "a.h5", "--encoder", "fav.safetensors", "--runs", 2, "--epochs", 3,
        "--batch-utterances", 4, "-o", "out.safetensors",
    ),
}  # fmt: skip
SAVING = ("--save-every", 1, "--log-every", 3)


@pytest.mark.parametrize("name", TRAINING)
def test_training(chain: Path, name: str) -> None:
    """Killed, terminated and resumed: the weights and the history of one go."""
    command = (*TRAINING[name], *SAVING)
    output, metrics = chain / "out.safetensors", chain / "out.safetensors.metrics.jsonl"
    manifest = chain / "r.jsonl"
    invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 3, "-o", manifest)
    draw = random.Random(name)
    statuses = []
    for number in (KILL, TERMINATE):
        # Once `adapt` has read its pipe, an empty standard input means what was read then.
        stdin = manifest if not statuses else None
        process = Running(chain, *command, stdin=stdin)
        status, words = interrupt(process, number, _has_saved(chain), draw.uniform(0.0, 0.15))
        statuses.append(status)
        if status == 0:
            break
        assert status == {KILL: -9, TERMINATE: 75}[number], words
        assert not output.exists()
        if status == 75:
            assert "stopped by SIGTERM" in words and "the same command resumes" in words
    assert statuses[0] == -9
    if statuses[-1] != 0:
        # Between two runs of finetune nothing is trained: the next begins at its first step.
        found = invoke(chain, *command)
        assert "resumed at step" in found.stderr or name == "finetune"
    assert litter(chain) == []
    resumed, lines = output.read_bytes(), history(metrics)
    verify(output)
    output.unlink()
    invoke(chain, *command, stdin=manifest.read_text(encoding="utf-8"))
    assert output.read_bytes() == resumed
    assert history(metrics) == lines


@pytest.mark.parametrize("name", TRAINING)
def test_killed_when_all_was_done(chain: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the checkpoint and the end of its state: the rerun has nothing to do but that."""
    invoke(
        chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 3, "-o", "r.jsonl"
    )
    text = (chain / "r.jsonl").read_text(encoding="utf-8")
    command = [1 if word in (3, 9) else word for word in TRAINING[name]]
    with monkeypatch.context() as patch:
        patch.setattr("avaffect.recipes.common.training_run.discard_state", _fail)
        invoke(chain, *command, stdin=text, status=1)
    assert litter(chain) == ["out.safetensors.state"]
    invoke(chain, *command, "--dry-run")
    assert litter(chain) == ["out.safetensors.state"]
    assert "up to date" in invoke(chain, *command).stderr
    assert litter(chain) == []


def _fail(*arguments: object, **options: object) -> None:
    raise RuntimeError("killed")


EXTRACT = ("extract", "b.h5", "--model", "fav.safetensors", "--batch-utterances", 1)


def _writes(folder: Path) -> Callable[[], bool]:
    """Whether utterances are being written to out.h5."""
    return lambda: any(folder.glob("out.h5.state/store/*"))


def test_extract(chain: Path) -> None:
    draw = random.Random(1)
    output = chain / "out.h5"
    statuses = []
    while len(statuses) < 3 and 0 not in statuses:
        process = Running(chain, *EXTRACT, "-o", output)
        status, words = interrupt(process, KILL, _writes(chain), draw.uniform(0.0, 0.25))
        assert status in (-9, 0), words
        assert output.exists() == (status == 0)
        statuses.append(status)
    assert statuses[0] == -9 and (litter(chain) or statuses[-1] == 0)
    invoke(chain, *EXTRACT, "-o", output)
    assert litter(chain) == []
    verify(output)
    invoke(chain, *EXTRACT, "-o", "whole.h5")
    assert output.read_bytes() == (chain / "whole.h5").read_bytes()


def test_extract_ends_when_it_is_asked_to(chain: Path) -> None:
    """SIGTERM outside training: the status to be requeued with, and no output."""
    process = Running(chain, *EXTRACT, "-o", "out.h5")
    status, words = interrupt(process, TERMINATE, _writes(chain), 0.0)
    assert status == 75, words
    assert litter(chain) == ["out.h5.state"] and not (chain / "out.h5").exists()
