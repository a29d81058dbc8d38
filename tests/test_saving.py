"""What long work saves: when, on which signals; damage is noticed, and nothing is done twice."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from chain import interrupt, invoke
from running import Running
from tiny_training import Killed, Killing, Rows, Tiny, history, run, weights

from avaffect.core.errors import DataError, Interrupted, OutputExistsError, Preempted
from avaffect.core.hashing import canonical_json
from avaffect.core.progress import SILENT
from avaffect.core.signals import StopFlag, stop_flag
from avaffect.training import saving, state
from avaffect.training.saving import Pace
from avaffect.training.spool import Spool


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


class TestWriter:
    def test_one_thing_after_another(self) -> None:
        pace, done = Pace(), []
        writer = saving.Writer(pace)
        gate = threading.Event()
        writer.start(lambda: (gate.wait(60), done.append(1)))
        assert done == []
        gate.set()
        writer.start(lambda: done.append(2))
        writer.wait()
        assert done == [1, 2]

    def test_what_fails_is_raised(self) -> None:
        writer = saving.Writer(Pace())

        def fails() -> None:
            raise OSError(28, "No space left on device")

        writer.start(fails)
        with pytest.raises(OSError, match="No space"):
            writer.wait()
        writer.wait()


def test_a_full_disk_ends_training(tmp_path: Path, monkeypatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_state", full)
    with pytest.raises(OSError, match="No space"):
        run(Tiny(), Rows(), tmp_path, steps=3, save_every=1)


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
            # What cleans up is not interrupted by the next one.
            signal.raise_signal(signal.SIGUSR1)
            assert flag.raised == "SIGUSR1"
        with stop_flag(), pytest.raises(Preempted, match="SIGTERM"):
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
        assert found is not None and found[0]["step"] == 3 and len(words) == 1
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
        # Of an earlier version: without a digest.
        marker.write_text('{"identity":"sha256:1"}')
        assert state.open_folder(other, "sha256:1", fresh=False)
        with pytest.raises(OutputExistsError, match="begun by an earlier version"):
            state.open_folder(other, "sha256:2", fresh=False)


def test_another_option_is_refused_only_where_work_would_be_lost(tmp_path: Path) -> None:
    folder = tmp_path / "x.state"
    for step in (0, 5):
        state.open_folder(folder, "sha256:1", fresh=True)
        state.save_state(folder, state.snapshot(Tiny(), {}, {}), {"step": step})
        (folder / state.MANIFEST).write_text("what adapt read")
        (folder / ".state.safetensors.0.partial").mkdir()
        (folder / ".state.safetensors.0.partial" / "state.safetensors").write_text("cut")
        if step:
            with pytest.raises(OutputExistsError, match="step 5"):
                state.open_folder(folder, "sha256:2", fresh=False)
        else:
            assert not state.open_folder(folder, "sha256:2", fresh=False)
            assert [path.name for path in folder.iterdir()] == [state.MARKER]


def test_finished_runs_are_not_repeated(chain: Path) -> None:
    command = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen", "--runs", 9,
               "--epochs", 40, "-o", "out.safetensors")  # fmt: skip
    process = Running(chain, *command)
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
