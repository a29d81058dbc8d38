"""Training stopped at any step and resumed ends as the undisturbed run does, bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import Rows, Tiny, history, run, weights

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, OutputExistsError, Preempted
from avaffect.training import state

STEPS = 13
SETTINGS = {"steps": STEPS, "warmup": 0.2, "schedule": "cosine"}


class Killed(Exception):
    """Stands for SIGKILL: nothing after it runs."""


class Stopping(Rows):
    """Gives `stop_after` batches, then calls `stop`."""

    def __init__(self, stop_after: int, stop) -> None:
        super().__init__()
        self.left, self.stop = stop_after, stop

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        if self.left == 0:
            self.stop()
        self.left -= 1
        return super().batch(indices, epoch)


def _kill() -> None:
    raise Killed


def _terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def _score(objective: Tiny, kept: object) -> dict[str, float]:
    """Goes up and down, so that the best epoch is not the last."""
    return {"score": -abs(float(objective.first.weight.detach().abs().sum()) - 1.0)}


OPTIONS = {"evaluate": _score, "select": "score", "tags": {"run": 1}}


def _objective() -> Tiny:
    return Tiny(dropout=0.3, noise=0.2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    objective = _objective()
    outcome = run(objective, Rows(), folder, run_options=OPTIONS, **SETTINGS)
    return weights(objective), outcome, history(folder / "history.jsonl")


def _check(undisturbed, objective: Tiny, outcome, folder: Path) -> None:
    expected_weights, expected_outcome, expected_history = undisturbed
    assert history(folder / "history.jsonl") == expected_history
    assert outcome == expected_outcome
    assert weights(objective) == expected_weights


@pytest.mark.parametrize("save_every", [1, 3, 500])
@pytest.mark.parametrize("step", range(STEPS))
def test_killed_at_any_step(undisturbed, tmp_path: Path, step: int, save_every: int) -> None:
    folder = tmp_path / "run"
    options = {"run_options": OPTIONS, "save_every": save_every, **SETTINGS}
    with pytest.raises(Killed):
        run(_objective(), Stopping(step, _kill), folder, **options)
    batches, objective = Rows(), _objective()
    outcome = run(objective, batches, folder, **options)
    _check(undisturbed, objective, outcome, folder)
    # Work that was saved is not done again; a busy machine saves more, by the time that passed.
    assert len(batches.seen) <= STEPS - step // save_every * save_every


@pytest.mark.parametrize("step", range(STEPS))
def test_preempted_at_any_step(undisturbed, tmp_path: Path, step: int) -> None:
    folder = tmp_path / "run"
    options = {"run_options": OPTIONS, **SETTINGS}
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match="SIGTERM") as raised:
        run(_objective(), Stopping(step, _terminate), folder, **options)
    assert raised.value.status == 75
    assert signal.getsignal(signal.SIGTERM) is before
    batches, objective = Rows(), _objective()
    outcome = run(objective, batches, folder, **options)
    _check(undisturbed, objective, outcome, folder)
    assert len(batches.seen) == STEPS - step - 1


def test_killed_again_and_again(undisturbed, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = {"run_options": OPTIONS, "save_every": 1, **SETTINGS}
    for _ in range(STEPS - 1):
        with pytest.raises(Killed):
            run(_objective(), Stopping(1, _kill), folder, **options)
    objective = _objective()
    outcome = run(objective, Rows(), folder, **options)
    _check(undisturbed, objective, outcome, folder)


def test_killed_in_an_evaluation(undisturbed, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kept = {**OPTIONS, "evaluate": lambda objective, kept: _kill()}
    with pytest.raises(Killed):
        run(_objective(), Rows(), folder, run_options=kept, save_every=1, **SETTINGS)
    objective = _objective()
    outcome = run(objective, Rows(), folder, run_options=OPTIONS, save_every=1, **SETTINGS)
    _check(undisturbed, objective, outcome, folder)


def test_an_epoch_cut_into_groups_resumes_within(tmp_path: Path) -> None:
    """Accumulated steps end on the last batches of an epoch, fewer or not."""
    options = {"epochs": 2, "accumulate": 4, "save_every": 1}
    whole = Tiny(dropout=0.3)
    run(whole, Rows(), tmp_path / "whole", **options)
    for batches in (5, 7):
        folder = tmp_path / f"cut-{batches}"
        with pytest.raises(Killed):
            run(Tiny(dropout=0.3), Stopping(batches, _kill), folder, **options)
        resumed = Tiny(dropout=0.3)
        run(resumed, Rows(), folder, **options)
        assert weights(resumed) == weights(whole)
        assert history(folder / "history.jsonl") == history(tmp_path / "whole" / "history.jsonl")


def test_frozen_parameters_are_not_part_of_the_state(tmp_path: Path) -> None:
    objective = Tiny()
    objective.body.requires_grad_(False)
    run(objective, Rows(), tmp_path, steps=2, save_every=1)
    from safetensors import safe_open

    with safe_open(tmp_path / state.STATE_FILE, framework="pt") as file:
        names = set(file.keys())
    assert "model/first.weight" in names and not any("body" in name for name in names)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    run(Tiny(), Rows(), tmp_path, steps=2, save_every=1)
    path = tmp_path / state.STATE_FILE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="--fresh"):
        run(Tiny(), Rows(), tmp_path, steps=4, save_every=1)


def test_state_folders_belong_to_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "x.safetensors.state"
    assert not state.open_folder(folder, "sha256:1", fresh=False)
    (folder / "note").write_text("kept")
    assert state.open_folder(folder, "sha256:1", fresh=False) and (folder / "note").exists()
    with pytest.raises(OutputExistsError, match="--fresh") as raised:
        state.open_folder(folder, "sha256:2", fresh=False)
    assert raised.value.status == 73
    assert not state.open_folder(folder, "sha256:2", fresh=True)
    assert not (folder / "note").exists()
    # Killed before the folder says whose it is: nothing in it is worth keeping.
    (folder / "run.json").write_text("{")
    assert not state.open_folder(folder, "sha256:3", fresh=False)
    # Refused before its first step: nothing was saved.
    (folder / "run-0").mkdir()
    assert not state.open_folder(folder, "sha256:4", fresh=False)
    assert not (folder / "run-0").exists()


def test_dropout_leaves_no_trace_in_what_follows(tmp_path: Path) -> None:
    """Whatever drew from torch's global generator before, a run is the same."""
    found = []
    for draws in (0, 5):
        objective = Tiny(dropout=0.3)
        torch.rand(draws)
        run(objective, Rows(), steps=3)
        found.append(weights(objective))
    assert found[0] == found[1]
