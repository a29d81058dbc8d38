"""`monitor`: where trainings stand, from their metrics files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chain import invoke
from running import Running
from test_writing import largest_file

from avaffect.cli.show import monitor as shown
from avaffect.core import lock
from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT
from avaffect.core.provenance import identity
from avaffect.data import artifacts
from avaffect.recipes.monitor import Watch, monitor
from avaffect.recipes.monitoring import events, finding, runs, states
from avaffect.settings.monitor import MonitorSettings
from avaffect.training.state import metrics_path, open_folder

TRAIN = ("finetune", "mfcc.h5", "--epochs", 3, "--batch-utterances", 4, "--log-every", 1)


@pytest.fixture(scope="module")
def trained(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a classifier on features of split voices: er.safetensors."""
    folder = tmp_path_factory.mktemp("trained")
    invoke(folder, "split", voices / "a.jsonl", "--ratios", 50, 25, 25, "-o", "s.jsonl")
    invoke(folder, "extract", voices / "a.h5", "--model", "mfcc", "-o", "mfcc.h5")
    invoke(folder, *TRAIN, "--annotations", "s.jsonl", "--runs", 2, "-o", "er.safetensors")
    return folder


def _lines(output: Path) -> list[dict[str, Any]]:
    text = output.with_name(f"{output.name}.metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _write(output: Path, *lines: dict[str, Any], mode: str = "a") -> None:
    with output.with_name(f"{output.name}.metrics.jsonl").open(mode) as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def _step(step: int, done: float, seconds: float, **more: Any) -> dict[str, Any]:
    return {"step": step, "epoch": 0, "done": done, "loss": 1 / step, "seconds": seconds, **more}


def _state(output: Path, **options: Any) -> runs.TrainingState:
    (found,) = monitor(MonitorSettings(runs=(output,), **options), SILENT)
    return found


def test_metrics_say_what_share_of_all_runs_is_done(trained: Path) -> None:
    lines = _lines(trained / "er.safetensors")
    done = [line["done"] for line in lines]
    assert done == sorted(done) and done[0] > 0 and done[-1] == 1.0
    first = [line["done"] for line in lines if line["run"] == 0]
    assert max(first) == 0.5 and min(line["done"] for line in lines if line["run"] == 1) > 0.5
    steps = [line for line in lines if "step" in line and line["run"] == 0]
    each = 0.5 / len(steps)
    assert [line["done"] for line in steps] == pytest.approx(
        [each * (number + 1) for number in range(len(steps))], abs=1e-5
    )


def test_shares_of_a_number_of_steps(trained: Path, tmp_path: Path) -> None:
    options = ("finetune", trained / "mfcc.h5", "--annotations", trained / "s.jsonl", "--steps", 4,
               "--log-every", 1, "-o", tmp_path / "x.safetensors")  # fmt: skip
    invoke(tmp_path, *options)
    assert [line["done"] for line in _lines(tmp_path / "x.safetensors") if "step" in line] == [
        0.25, 0.5, 0.75, 1.0,
    ]  # fmt: skip


def test_an_ended_training(trained: Path) -> None:
    found = _state(trained / "er.safetensors")
    lines = _lines(trained / "er.safetensors")
    last = [line for line in lines if "step" in line][-1]
    scores = [line for line in lines if "step" not in line][-1]
    assert (found.state, found.done, found.left_s) == (states.FINISHED, 1.0, None)
    assert found.tags == {"run": 1, "seed": 1} and found.step == last["step"]
    assert found.training["accuracy"] == last["accuracy"]
    assert found.development["ua"] == scores["ua"]
    assert not {"done", "seconds", "learning_rate", "run"} & {*found.training, *found.development}
    whole = sum(max(x["seconds"] for x in lines if x["run"] == run) for run in (0, 1))
    assert found.seconds == pytest.approx(whole, abs=1e-3)


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    """A history of another program, or a damaged one."""
    output = tmp_path / "a.safetensors"
    _write(
        output,
        {"step": 1, "seconds": "abc", "done": "half", "loss": float("nan")},
        {"step": 2, "seconds": None, "done": None, "run": {"a": 1}, "epoch": True},
        {"step": 10**30, "seconds": 10**400, "loss": 10**400},
        {"step": 3, "seconds": 9.5, "done": 2.0, "loss": [1], "ce": 0.5},
        {"epoch": 1, "seconds": 10.0, "done": 0.25, "ua": 0.75, "accuracy": "high"},
    )
    found = _state(output, tensorboard=tmp_path / "board", plot=tmp_path / "curves.svg")
    assert (found.step, found.epoch, found.done, found.seconds) == (3, 1, 0.25, 10.0)
    assert found.training == {"ce": 0.5} and found.development == {"ua": 0.75}
    assert found.tags == {}


@pytest.mark.parametrize(
    "number, became",
    [(signal.SIGTERM, states.STOPPED), (signal.SIGINT, states.STOPPED),
     (signal.SIGKILL, states.KILLED)],
)  # fmt: skip
def test_a_training_that_a_signal_ended(
    trained: Path, tmp_path: Path, number: signal.Signals, became: str
) -> None:
    output = tmp_path / "x.safetensors"
    process = Running(
        trained, "finetune", "mfcc.h5", "--annotations", "s.jsonl", "--steps", 10**6,
        "--log-every", 1, "-o", output,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not metrics_path(output).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _state(output).state == states.RUNNING
    process.send_signal(number)
    process.communicate()
    assert _state(output).state == became
    (line,) = invoke(tmp_path, "monitor", ".", "--json").stdout.splitlines()
    assert json.loads(line)["state"] == became


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    for name, text in [
        ("t.csv", "id,emotion\n"),
        ("m.jsonl", '{"format": "avaffect-manifest", "content": "corpus"}\n{"id": "a"}\n'),
        ("a.safetensors.metrics.jsonl", '{"id": "a", "start": 1.5}\nno JSON\n'),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=name):
            monitor(MonitorSettings(runs=(tmp_path / name,)), SILENT)
    with pytest.raises(DataError, match=r"a\.safetensors\.metrics\.jsonl"):
        monitor(MonitorSettings(runs=(tmp_path,)), SILENT)
    (tmp_path / "a.safetensors.metrics.jsonl").write_text("")
    # A pattern stands for trainings alone.
    (found,) = monitor(MonitorSettings(runs=(tmp_path / "*",)), SILENT)
    assert found.output == str(tmp_path / "a.safetensors")


def test_states(tmp_path: Path, trained: Path) -> None:
    output = tmp_path / "a.safetensors"
    folder = tmp_path / "a.safetensors.state"
    assert _state(output).state == states.WAITING
    held = lock.acquire(folder / "lock", output, SILENT.say)
    assert _state(output).state == states.RUNNING
    left = held.path.read_bytes()
    (folder / "run.json").write_text("{}")
    held.release()
    assert _state(output).state == states.STOPPED
    (folder / "lock").write_bytes(left.replace(b'"pid": ', b'"pid": 4000'))
    assert _state(output).state == states.KILLED
    shutil.copy(trained / "er.safetensors", output)
    # Of another run than the one that was killed.
    assert _state(output).state == states.KILLED
    shutil.rmtree(folder)
    assert _state(output).state == states.FINISHED
    _write(output, _step(1, 0.1, 1.0))
    os.truncate(output, output.stat().st_size - 1)
    assert _state(output).state == states.DAMAGED
    output.unlink()
    assert _state(output).state == states.GONE


def test_killed_when_the_output_was_written(tmp_path: Path, trained: Path) -> None:
    """The state folder is of the run that made it."""
    output = tmp_path / "er.safetensors"
    shutil.copy(trained / "er.safetensors", output)
    made = identity(artifacts.describe(output).provenance)
    open_folder(tmp_path / "er.safetensors.state", made, fresh=False)
    (tmp_path / "er.safetensors.state" / "lock").write_text("{}")
    os.utime(tmp_path / "er.safetensors.state" / "lock", (0, 0))
    assert _state(output).state == states.FINISHED


def test_the_lock_of_another_machine_counts_while_it_is_young(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "lock"
    held = lock.acquire(path, tmp_path / "a", SILENT.say)
    before = path.read_bytes()
    try:
        monkeypatch.setattr(lock, "_kernel", lambda: "another")
        assert lock.seems_held(path)
        monkeypatch.setattr(lock, "SILENT_S", -1.0)
        assert not lock.seems_held(path)
        monkeypatch.undo()
        # Of this one, whatever its age; not of a process that has ended.
        monkeypatch.setattr(lock, "SILENT_S", -1.0)
        assert lock.seems_held(path) and path.read_bytes() == before
        monkeypatch.setattr(lock, "_started", lambda pid: None)
        assert not lock.seems_held(path)
    finally:
        monkeypatch.undo()
        held.release()
    assert not lock.seems_held(tmp_path / "nothing")


def test_time_left_is_that_of_this_process(tmp_path: Path) -> None:
    """Half of it took ten seconds, before; now a tenth takes one."""
    output = tmp_path / "a.safetensors"
    _write(output, _step(1, 0.05, 1.0), _step(10, 0.5, 10.0))
    _write(output, _step(11, 0.55, 0.5), _step(12, 0.65, 1.5))
    followed = runs.Followed(output)
    followed.news()
    changed = followed.history.stat().st_mtime
    held = lock.acquire(tmp_path / "a.safetensors.state" / "lock", output, SILENT.say)
    try:
        assert followed.state(changed).left_s == pytest.approx(3.5)
        assert followed.state(changed + 2).left_s == pytest.approx(1.5)
        assert followed.state(changed + 20).left_s == 0.0
        assert followed.state(changed).seconds == pytest.approx(11.5)
    finally:
        held.release()


def test_a_file_is_read_as_it_grows_and_anew_where_it_was_cut(tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    followed = runs.Followed(output)
    assert followed.news() == ([], False)
    _write(output, _step(1, 0.1, 1.0), _step(2, 0.2, 2.0))
    with followed.history.open("a") as stream:
        stream.write('{"step": 3, "ep')
    assert [line.values["step"] for line in followed.news()[0]] == [1, 2]
    with followed.history.open("a") as stream:
        stream.write('och": 0, "seconds": 3.0}\nno JSON\n')
    assert [line.values["step"] for line in followed.news()[0]] == [3]
    _write(output, _step(1, 0.1, 1.0), mode="w")
    lines, anew = followed.news()
    assert anew and [line.values["step"] for line in lines] == [1] and followed.seconds == 1.0


def test_a_history_of_an_earlier_version(tmp_path: Path) -> None:
    _write(tmp_path / "a.safetensors", {"step": 1, "epoch": 0, "loss": 2.0, "seconds": 3.0})
    found = _state(tmp_path / "a.safetensors")
    assert (found.done, found.left_s, found.seconds) == (None, None, 3.0)
    assert found.training == {"loss": 2.0}


def test_how_trainings_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(tmp_path / f"{name}.safetensors", _step(1, 0.1, 1.0))
    (tmp_path / "c.safetensors.state").mkdir()
    a, b, c = (tmp_path / f"{name}.safetensors" for name in "abc")
    named = [a, tmp_path / "a.safetensors.metrics.jsonl", tmp_path / "b.safetensors.state"]
    assert finding.outputs(named) == [a, b]
    assert finding.outputs([tmp_path]) == [a, b]
    assert finding.outputs([tmp_path / "[bc].safetensors"]) == [b, c]
    assert finding.outputs([tmp_path / "z*"]) == []
    for nothing in (tmp_path / "z*", tmp_path / "c.safetensors.state" / ".." / "no" / "x"):
        with pytest.raises(DataError):
            monitor(MonitorSettings(runs=(nothing,)), SILENT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        finding.outputs([tmp_path / "empty"])


def test_tensorboard_reads_its_files(trained: Path, tmp_path: Path) -> None:
    """Written twice: the second time replaces the first, and leaves what is not ours."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    other = tmp_path / "curves" / "er" / "events.out.tfevents.other"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    for _ in range(2):
        _state(trained / "er.safetensors", tensorboard=tmp_path / "curves")
    assert other.exists()
    for run in (0, 1):
        lines = [line for line in _lines(trained / "er.safetensors") if line["run"] == run]
        (path,) = (tmp_path / "curves" / "er" / f"run{run}").iterdir()
        found = reader.EventAccumulator(str(path))
        found.Reload()
        steps = [line for line in lines if "step" in line]
        scores = [line for line in lines if "step" not in line]
        loss = found.Scalars("training/classification")
        assert [event.step for event in loss] == [line["step"] for line in steps]
        assert [event.value for event in loss] == pytest.approx(
            [line["classification"] for line in steps], rel=1e-6
        )
        ua = found.Scalars("development/ua")
        assert [event.value for event in ua] == pytest.approx([s["ua"] for s in scores], rel=1e-6)
        # A score belongs to the last step of its epoch.
        assert ua[-1].step == steps[-1]["step"]
        assert [b.wall_time - a.wall_time for a, b in pairwise(loss)] == pytest.approx(
            [b["seconds"] - a["seconds"] for a, b in pairwise(steps)], abs=1e-3
        )
        assert "speed/learning_rate" in found.Tags()["scalars"]


def test_trainings_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _write(tmp_path / name / "er.safetensors", _step(1, 0.1, 1.0))
    runs_ = (tmp_path / "a" / "er.safetensors", tmp_path / "b" / "er.safetensors")
    monitor(MonitorSettings(runs=runs_, tensorboard=tmp_path / "tb"), SILENT)
    found = {path.parent.relative_to(tmp_path / "tb") for path in (tmp_path / "tb").rglob("*tfe*")}
    assert found == {Path("a/er"), Path("b/er")}


def test_what_a_resumed_training_removed_is_not_kept(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    output, folder = tmp_path / "a.safetensors", tmp_path / "tb"
    watch = Watch(MonitorSettings(runs=(output,), tensorboard=folder))
    _write(output, _step(1, 0.1, 1.0), _step(2, 0.2, 2.0))
    watch.look()
    _write(output, _step(1, 0.1, 1.0), mode="w")
    watch.look()
    watch.close()
    found = reader.EventAccumulator(str(folder / "a"))
    found.Reload()
    assert [event.step for event in found.Scalars("training/loss")] == [1]


def test_event_files_on_a_full_disk(trained: Path, tmp_path: Path) -> None:
    """None of ours is left, and others' are."""
    pytest.importorskip("tensorboard")
    other = tmp_path / "curves" / "er" / "events.out.tfevents.other"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    folder = tmp_path / "curves"
    for size in (0, 100):
        with largest_file(size):
            found = invoke(trained, "monitor", "er.safetensors", "--tensorboard", folder, status=1)
        assert found.stderr.startswith(f"avaffect: {folder}/er cannot be written: ")
        assert [path for path in folder.rglob("*") if path.is_file()] == [other]
    invoke(trained, "monitor", "er.safetensors", "--tensorboard", folder)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 3


def test_without_tensorboard(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(UsageError, match=r"\[tensorboard\]"):
        events.check_tensorboard()


def test_json_and_a_table(trained: Path) -> None:
    (line,) = invoke(trained, "monitor", ".", "--json").stdout.splitlines()
    assert runs.TrainingState.from_dict(json.loads(line)).output == "er.safetensors"
    found = invoke(trained, "monitor", "er.safetensors", "--once")
    head, row = (line.split("\t") for line in found.stdout.splitlines())
    assert tuple(head) == shown.COLUMNS and row[:3] == ["er.safetensors", "finished", "100 %"]
    assert found.stderr.startswith("1 training: 1 finished")
    invoke(trained, "monitor", "z*", "--once", status=65)


def test_lines_until_all_have_ended(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that runs, stops, and one that a pattern comes to match; a line where there is news."""
    output = tmp_path / "a.safetensors"
    held = [lock.acquire(tmp_path / "a.safetensors.state" / "lock", output, SILENT.say)]
    _write(output, _step(1, 0.1, 1.0))

    def next_moment(*_: object) -> None:
        moments.pop(0)()

    def grow() -> None:
        _write(output, _step(2, 0.9, 2.0))

    def end() -> None:
        held.pop().release()
        (tmp_path / "a.safetensors.state").rmdir()
        shutil.copy(trained / "er.safetensors", output)
        _write(tmp_path / "b.safetensors", _step(1, 1.0, 60.0))

    moments = [grow, lambda: None, end]
    monkeypatch.setattr(shown, "_wait", next_moment)
    found = invoke(tmp_path, "monitor", "*.safetensors")
    assert moments == []
    told = [line.partition(": ") for line in found.stdout.splitlines()]
    assert [(name, text.split(", ")[:2]) for name, _, text in told] == [
        ("a.safetensors", ["running", "10 %"]),
        ("a.safetensors", ["running", "90 %"]),
        ("a.safetensors", ["finished", "90 %"]),
        ("b.safetensors", ["gone", "100 %"]),
    ]
    assert "2 trainings: 1 gone, 1 finished; 1:02 " in found.stderr


def test_a_table_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.chdir(tmp_path)
    states = []
    for name in "0123456789a":
        _write(Path(f"{name}.safetensors"), _step(1, 0.5, 1.0, ce=0.25))
        states.append(_state(Path(f"{name}.safetensors")))
    states.append(_state(Path("w.safetensors")))
    console = Console(width=120, height=10)
    with console.capture() as captured:
        console.print(shown._drawn(states, 10))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 120
    # More than fit: those of which there may be news are on top.
    assert "w.safetensors" in lines[3] and "50 %" in lines[4] and "ce=0.25" in lines[4]


def test_a_wait_ends_and_hears_of_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    shown._wait(0.05, SILENT)
    assert time.monotonic() - begun >= 0.05

    class Stopped(type(SILENT)):  # type: ignore[misc]
        def check(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shown._wait(60, Stopped())
