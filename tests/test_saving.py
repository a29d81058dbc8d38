"""What long work saves: when, on which signals; damage is noticed, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chain import interrupt, invoke, litter, start
from tiny_training import Rows, Tiny, history, run, weights

from avaffect.core.errors import DataError, Interrupted, OutputExistsError, Preempted
from avaffect.core.hashing import canonical_json
from avaffect.core.progress import SILENT
from avaffect.core.signals import StopFlag, stop_flag
from avaffect.recipes import extraction, kmeans
from avaffect.recipes.extraction import Extractor
from avaffect.training import saving, state
from avaffect.training.evaluation import evaluate
from avaffect.training.saving import Pace
from avaffect.training.spool import Spool


class Killed(Exception):
    """Stands for SIGKILL."""


class Killing(Rows):
    """Gives so many batches."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def batch(self, indices: np.ndarray, epoch: int):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().batch(indices, epoch)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever could be saved is saved."""
    monkeypatch.setattr(saving, "INTERVAL_S", 0.0)
    monkeypatch.setattr(saving, "LARGEST_SHARE", np.inf)


class TestPace:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [0.0]
        monkeypatch.setattr(saving, "time", SimpleNamespace(monotonic=lambda: now[0]))
        return now

    def test_a_kill_loses_a_minute_at_most(self, clock: list[float]) -> None:
        pace = Pace()
        clock[0] = 30.0
        assert not pace.due() and pace.due(ahead_s=30.0)
        clock[0] = 59.0
        assert pace.due()

    def test_saving_costs_a_hundredth_at_most(self, clock: list[float]) -> None:
        pace, spent = Pace(), 0.0
        for _ in range(100_000):
            clock[0] += 1.0
            if pace.due(ahead_s=np.inf):
                with pace.saving():
                    clock[0] += 3.0
                    spent += 3.0
        assert 0.008 < spent / clock[0] < 0.0105


def test_states_are_saved_by_time(tmp_path: Path, always: None) -> None:
    """Runs that are shorter than --save-every resume where they were."""
    whole = Tiny(dropout=0.3)
    run(whole, Rows(), tmp_path / "whole", steps=9)
    with pytest.raises(Killed):
        run(Tiny(dropout=0.3), Killing(5), tmp_path / "cut", steps=9)
    batches, resumed = Rows(), Tiny(dropout=0.3)
    run(resumed, batches, tmp_path / "cut", steps=9)
    assert len(batches.seen) == 4 and weights(resumed) == weights(whole)
    lines = [history(tmp_path / name / "history.jsonl") for name in ("whole", "cut")]
    assert lines[0] == lines[1]


def test_a_state_is_saved_before_an_evaluation(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(saving, "LARGEST_SHARE", np.inf)

    def fails(objective: Tiny, kept: Spool) -> dict[str, float]:
        kept.add([0], [np.ones(1)])
        raise Killed

    with pytest.raises(Killed):
        run(Tiny(), Rows(), tmp_path / "run", epochs=1, run_options={"evaluate": fails})
    batches = Rows()
    run(Tiny(), batches, tmp_path / "run", epochs=1)
    assert batches.seen == []


class TestSignals:
    def test_steps_are_finished(self) -> None:
        with (
            stop_flag() as flag,
            pytest.raises(Preempted, match="SIGUSR1 at step 3") as raised,
            flag.steps(),
        ):
            signal.raise_signal(signal.SIGUSR1)
            assert flag and not flag.interrupted
            flag.stop("at step 3")
        assert raised.value.status == 75

    def test_what_no_step_looks_at_ends_the_work(self) -> None:
        with stop_flag() as flag:
            with pytest.raises(Preempted, match="SIGTERM"), flag.steps():
                signal.raise_signal(signal.SIGTERM)
            with pytest.raises(Preempted, match="SIGTERM"):
                signal.raise_signal(signal.SIGTERM)

    def test_ctrl_c_saves_and_a_second_one_stops(self) -> None:
        said: list[str] = []
        before = signal.getsignal(signal.SIGINT)
        with stop_flag(said.append) as flag, pytest.raises(KeyboardInterrupt), flag.steps():
            signal.raise_signal(signal.SIGINT)
            assert flag.interrupted and len(said) == 1
            with pytest.raises(Interrupted) as raised:
                flag.stop()
            assert raised.value.status == 130
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before

    def test_elsewhere_than_in_the_main_thread_there_is_only_the_flag(self) -> None:
        found: list[StopFlag] = []

        def work() -> None:
            with stop_flag() as flag:
                found.append(flag)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found and not found[0]


def test_training_saves_on_ctrl_c(tmp_path: Path) -> None:
    class Pressing(Rows):
        def batch(self, indices: np.ndarray, epoch: int):
            if len(self.seen) == 3:
                signal.raise_signal(signal.SIGINT)
            return super().batch(indices, epoch)

    with pytest.raises(Interrupted, match="SIGINT at step 4"):
        run(Tiny(), Pressing(), tmp_path / "run", steps=9)
    batches = Rows()
    run(Tiny(), batches, tmp_path / "run", steps=9)
    assert len(batches.seen) == 5


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        run(Tiny(), Rows(), tmp_path, steps=3, save_every=1)
        return tmp_path

    def test_a_flipped_bit_is_noticed(self, folder: Path) -> None:
        path = folder / state.STATE_FILE
        whole = path.read_bytes()
        for place in np.random.default_rng(0).integers(0, len(whole), 60).tolist():
            damaged = bytearray(whole)
            damaged[place] ^= 1 << (place % 8)
            path.write_bytes(bytes(damaged))
            with pytest.raises(DataError, match=r"damaged.*--fresh"):
                run(Tiny(), Rows(), folder, steps=4)
        path.write_bytes(whole)
        run(Tiny(), Rows(), folder, steps=4)

    def test_states_of_version_1_0_are_read_with_a_word(self, folder: Path, capsys) -> None:
        from safetensors.torch import load_file, safe_open, save_file

        path = folder / state.STATE_FILE
        with safe_open(path, framework="pt") as file:
            position = json.loads(file.metadata()["position"])
        del position["history_digest"]
        save_file(load_file(path), path, metadata={"position": canonical_json(position)})
        words: list[str] = []
        objective = Tiny()
        found = state.load_state(folder, objective, {}, words.append)
        assert found is not None and found[0]["step"] == 3 and "version 1.0" in words[0]
        batches = Rows()
        run(objective, batches, folder, steps=4)
        assert len(batches.seen) == 1

    @pytest.mark.parametrize("damage", ["cut", "flip", "gone", "longer"])
    def test_the_history_is_checked(self, folder: Path, damage: str, monkeypatch) -> None:
        path = folder / "history.jsonl"
        text = path.read_bytes()
        told: list[str] = []
        monkeypatch.setattr(SILENT, "warn", told.append, raising=False)
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut": text[:40], "flip": text.replace(b"0", b"1", 1),
                              "longer": text + b"{}\n"}[damage])  # fmt: skip
        run(Tiny(), Rows(), folder, steps=4)
        assert ("changed" in " ".join(told)) == (damage != "longer")

    def test_whose_state_it_is_must_be_known(self, folder: Path) -> None:
        other = folder / "x.state"
        state.open_folder(other, "sha256:1", fresh=False)
        (other / state.STATE_FILE).write_bytes((folder / state.STATE_FILE).read_bytes())
        marker = other / state.MARKER
        marker.write_text(marker.read_text().replace("sha256:1", "sha256:2"))
        for identity in ("sha256:1", "sha256:2"):
            with pytest.raises(DataError, match="step 3"):
                state.open_folder(other, identity, fresh=False)
        # Of version 1.0: without a digest.
        marker.write_text('{"identity":"sha256:1"}')
        assert state.open_folder(other, "sha256:1", fresh=False)


def test_another_option_is_refused_only_where_work_would_be_lost(tmp_path: Path) -> None:
    folder = tmp_path / "x.state"
    for step in (0, 5):
        state.open_folder(folder, "sha256:1", fresh=True)
        state.save_state(folder, Tiny(), {}, {"step": step}, {})
        (folder / state.MANIFEST).write_text("what adapt read")
        (folder / ".state.safetensors.0.partial").mkdir()
        (folder / ".state.safetensors.0.partial" / "state.safetensors").write_text("cut")
        if step:
            with pytest.raises(OutputExistsError, match="step 5"):
                state.open_folder(folder, "sha256:2", fresh=False)
        else:
            assert not state.open_folder(folder, "sha256:2", fresh=False)
            assert [path.name for path in folder.iterdir()] == [state.MARKER]


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

    def batch(self, indices: np.ndarray):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return SimpleNamespace(map=lambda move: torch.from_numpy(indices.copy()))


def _frames(indices: torch.Tensor) -> SimpleNamespace:
    values = torch.sin(indices[:, None, None] + torch.arange(6.0).reshape(3, 2))
    return SimpleNamespace(values=values, lengths=1 + indices % 3)


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

    def _fit(self, frames: np.ndarray, folder: Path) -> kmeans.KMeans:
        starts, steps = (Spool(folder / name, StopFlag(), print) for name in ("starts", "steps"))
        return kmeans.fit(frames, 12, 3, 0, starts, steps, SILENT)

    def test_as_good_as_scikit_learn(self, frames: np.ndarray, tmp_path: Path) -> None:
        from sklearn.cluster import MiniBatchKMeans

        found = self._fit(frames, tmp_path)
        theirs = MiniBatchKMeans(12, n_init=3, batch_size=50, reassignment_ratio=0, random_state=0)
        assert found.inertia < 1.05 * theirs.fit(frames).inertia_
        nearest = np.square(frames[:, None] - found.centroids[None]).sum(axis=2)
        assert found.inertia == pytest.approx(nearest.min(axis=1).sum(), rel=1e-3)
        assert (found.counts == np.bincount(nearest.argmin(axis=1), minlength=12)).all()

    @pytest.mark.parametrize("calls", [1, 2, 4, 5, 30, 77])
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


def test_finished_runs_are_not_repeated(chain: Path) -> None:
    command = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen", "--runs", 9,
               "--epochs", 40, "-o", "out.safetensors")  # fmt: skip
    process = start(chain, *command)
    folder = chain / "out.safetensors.state"
    status, _ = interrupt(
        process, signal.SIGKILL, lambda: (folder / "run-1.safetensors").exists(), 0.0
    )
    if status == 0:
        pytest.skip("it was done before it could be killed")
    finished = {path.name: path.stat().st_mtime_ns for path in folder.glob("run-*.safetensors")}
    assert len(finished) >= 2 and not (folder / "run-0").exists()
    # Whatever was done: a changed option would lose it.
    assert "run-0.safetensors" in invoke(chain, *command, "--seed", 1, status=73).stderr
    invoke(chain, *command)
    lines = history(chain / "out.safetensors.metrics.jsonl")
    assert {line["run"] for line in lines} == set(range(9))
