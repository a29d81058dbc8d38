"""Features, evaluations and clusters are kept while they are computed, and not computed twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chain import invoke, litter
from tiny_training import Killed, Killing, Rows, Tiny

from avaffect.core.errors import Preempted
from avaffect.core.progress import SILENT
from avaffect.core.signals import StopFlag
from avaffect.models.encoder import Frames
from avaffect.recipes.encoding import extraction, kmeans
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.training import saving
from avaffect.training.evaluation import evaluate
from avaffect.training.spool import Spool


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever could be saved is saved."""
    monkeypatch.setattr(saving, "INTERVAL_S", 0.0)
    monkeypatch.setattr(saving, "LARGEST_SHARE", np.inf)


class TestSpool:
    def _spool(self, folder: Path, flag: StopFlag | None = None, told: list | None = None) -> Spool:
        told = [] if told is None else told
        return Spool(folder / "rows", StopFlag() if flag is None else flag, told.append)

    def test_rows_come_back(self, tmp_path: Path, always: None) -> None:
        random = np.random.default_rng(0)
        rows = [random.standard_normal((n, 3)).astype(np.float32) for n in (4, 0, 1, 7)]
        spool = self._spool(tmp_path)
        for number in range(12):
            spool.add([4 * number + n for n in range(4)], rows)
        # Written again, as the last state of something is.
        spool.add([0], [rows[3]])
        again = self._spool(tmp_path)
        for number in range(1, 48):
            (found,) = again.get([number])
            assert found.dtype == np.float32 and found.tobytes() == rows[number % 4].tobytes()
        assert again.get([0])[0].shape == (7, 3) and again.get([48]) is None
        again.remove()
        assert not (tmp_path / "rows").exists()

    def test_damage_is_computed_again(self, tmp_path: Path, always: None) -> None:
        spool = self._spool(tmp_path)
        spool.add([0], [np.zeros(3)])
        spool.add([1], [np.ones(3)])
        path = tmp_path / "rows" / "0.rows"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
        told: list[str] = []
        again = self._spool(tmp_path, told=told)
        assert "damaged" in told[0] and again.get([0]) is None and again.get([1]) is not None

    def test_a_signal_saves(self, tmp_path: Path) -> None:
        flag = StopFlag()
        spool = self._spool(tmp_path, flag)
        spool.add([0], [np.zeros(3)])
        assert not (tmp_path / "rows").exists()
        flag.raised = "SIGTERM"
        with pytest.raises(Preempted, match="computing rows"):
            spool.add([1], [np.zeros(3)])
        assert self._spool(tmp_path).get([0, 1]) is not None


class Utterances:
    """So many, each of a second; counts the batches that are asked for."""

    def __init__(self, count: int, left: int = 10**6) -> None:
        self.count, self.left = count, left

    def __len__(self) -> int:
        return self.count

    def batch_durations(self) -> np.ndarray:
        return np.ones(self.count)

    @property
    def is_chosen(self) -> np.ndarray:
        return np.ones(self.count, dtype=bool)

    def batch(self, indices: np.ndarray):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return SimpleNamespace(map=lambda move: torch.from_numpy(indices.copy()))


def _frames(indices: torch.Tensor) -> Frames:
    values = torch.sin(indices[:, None, None] + torch.arange(6.0).reshape(3, 2))
    return Frames(values, 1 + indices % 3)


@pytest.mark.parametrize("of", [None, lambda values: values.sum(axis=0)])
def test_features_are_computed_once(tmp_path: Path, always: None, of) -> None:
    extractor = Extractor(_frames, (), 1.0, 2)
    flag = StopFlag()

    def compute(utterances: Utterances, folder: Path | None) -> list[np.ndarray]:
        kept = None if folder is None else Spool(folder, flag, print)
        rows = extraction.compute(
            extractor, utterances, torch.device("cpu"), SILENT, batch_seconds=4, kept=kept, of=of
        )
        return [row for _, row in rows]

    whole = compute(Utterances(90), None)
    with pytest.raises(Killed):
        compute(Utterances(90, left=17), tmp_path / "x")
    rest = Utterances(90)
    resumed = compute(rest, tmp_path / "x")
    assert 10**6 - rest.left == 23 - 17
    assert [row.tobytes() for row in resumed] == [row.tobytes() for row in whole]


def test_an_evaluation_goes_on(tmp_path: Path, always: None) -> None:
    whole = evaluate(Tiny(), Rows(), 0)
    with pytest.raises(Killed):
        evaluate(Tiny(), Killing(4), 0, Spool(tmp_path / "x", StopFlag(), print))
    rest = Rows()
    assert evaluate(Tiny(), rest, 0, Spool(tmp_path / "x", StopFlag(), print)) == whole
    assert len(rest.seen) == len(rest.plan(0)) - 4


class TestKMeans:
    @pytest.fixture
    def frames(self) -> np.ndarray:
        random = np.random.default_rng(0)
        centres = 4 * random.standard_normal((12, 5))
        return (centres[random.integers(0, 12, 700)] + random.standard_normal((700, 5))).astype(
            "f4"
        )

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kmeans, "BATCH_FRAMES", 50)
        monkeypatch.setattr(kmeans, "BLOCK_FRAMES", 150)
        monkeypatch.setattr(kmeans, "PATIENCE", 30)

    def _fit(self, frames: np.ndarray, folder: Path) -> kmeans.KMeans:
        places = [Spool(folder / name, StopFlag(), print) for name in ("starts", "steps", "blocks")]
        return kmeans.fit(frames, 12, 3, 0, *places, SILENT)

    def test_as_good_as_scikit_learn(self, frames: np.ndarray, tmp_path: Path) -> None:
        from sklearn.cluster import MiniBatchKMeans

        found = self._fit(frames, tmp_path)
        theirs = MiniBatchKMeans(12, n_init=3, batch_size=50, reassignment_ratio=0, random_state=0)
        assert found.inertia < 1.05 * theirs.fit(frames).inertia_
        nearest = np.square(frames[:, None] - found.centroids[None]).sum(axis=2)
        assert found.inertia == pytest.approx(nearest.min(axis=1).sum(), rel=1e-3)
        assert (found.counts == np.bincount(nearest.argmin(axis=1), minlength=12)).all()

    @pytest.mark.parametrize("calls", [1, 4, 30])
    def test_killed_at_any_step(
        self, frames: np.ndarray, tmp_path: Path, always: None, monkeypatch, calls: int
    ) -> None:
        whole = self._fit(frames, tmp_path / "whole")
        nearest, left = kmeans._nearest, [calls]

        def dies(*arguments):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return nearest(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(kmeans, "_nearest", dies)
            with pytest.raises(Killed):
                self._fit(frames, tmp_path / "cut")
            left[0] = 10**6
            resumed = self._fit(frames, tmp_path / "cut")
        assert resumed.centroids.tobytes() == whole.centroids.tobytes()
        assert (resumed.counts == whole.counts).all() and resumed.inertia == whole.inertia


PHASES = {
    "cluster": ("cluster", "a.h5", "-k", 8, "--initialisations", 2, "--batch-seconds", 1),
    "train-projector": ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--epochs", 2,
                        "--batch-seconds", 1),
    "finetune": ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen",
                 "--epochs", 2, "--batch-seconds", 1),
    "bgru": ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen", "--head",
             "gru", "--hidden", 4, "--layers", 1, "--epochs", 1, "--batch-seconds", 1),
    "frames": ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen", "--pooling",
               "attentive", "--epochs", 1, "--batch-seconds", 1),
    "adapt": ("adapt", "r.jsonl", "--epochs", 1, "--batch-seconds", 2),
    "rank": ("pretrain-apc", "a.h5", "--preset", "nano", "--epochs", 1, "--batch-seconds", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PHASES)
def test_phases_around_training_are_kept(
    chain: Path, name: str, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stops at each batch that it computes ends, and as if it had not been stopped."""
    if name == "adapt":
        invoke(chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 1,
               "-o", "r.jsonl")  # fmt: skip
    output = chain / "out.safetensors"
    command = (*PHASES[name], "-o", output.name)
    invoke(chain, *command)
    whole = output.read_bytes()
    output.unlink()
    of = Spool.of

    def stopped(self: Spool, numbers: np.ndarray, compute) -> list[np.ndarray]:
        with self.flag.steps():
            if self.get(numbers.tolist()) is None:
                signal.raise_signal(signal.SIGTERM)
            return of(self, numbers, compute)

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "of", stopped)
        stops = 0
        while invoke_any(chain, *command) != 0:
            stops += 1
            assert stops < 400
    assert stops >= 3
    assert output.read_bytes() == whole and litter(chain) == []


def invoke_any(folder: Path, *command: object) -> int:
    """The status of a command that may be stopped, 75, or done."""
    from avaffect.cli.main import run as run_command

    before, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    os.chdir(folder)
    try:
        status = run_command([str(word) for word in command])
    finally:
        os.chdir(before)
        signal.signal(signal.SIGTERM, handler)
    assert status in (0, 75)
    return status
