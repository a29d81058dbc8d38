"""preprocess on real recordings: what it keeps, and how it ends when it is interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.media import FACE_COUNTS
from avaffect.data.store.verifying import verify_store
from avaffect.data.workers import ordered_map


@pytest.fixture
def real_corpus(recordings: Path, tmp_path: Path) -> Path:
    """Some of every kind of recording at hand, in one manifest."""
    kinds = {"emodb": 8, "urdu_pool": 8, "fsdd": 8, "video_grid": 4, "video_mead": None,
             "video_styletalk": 6}  # fmt: skip
    files = [path for folder, count in kinds.items()
             for path in sorted((recordings / folder).glob("*.*"))[:count]
             if path.suffix not in (".txt", ".align")]  # fmt: skip
    return _manifest(tmp_path / "real.jsonl", recordings, files)


@pytest.fixture
def small_corpus(recordings: Path, tmp_path: Path) -> Path:
    """Sounds and films that are done in a second or two."""
    sounds = sorted((recordings / "emodb").glob("*.wav"))[:60]
    films = sorted((recordings / "video_grid").glob("*.mpg"))[:8]
    return _manifest(tmp_path / "real.jsonl", recordings, sounds[:30] + films + sounds[30:])


def _manifest(path: Path, recordings: Path, files: list[Path]) -> Path:
    items = ({"id": str(f.relative_to(recordings)), "media": str(f.relative_to(recordings)),
              "speaker": f.name[:2]} for f in files)  # fmt: skip
    base = os.path.relpath(recordings, path.parent)
    manifest.write(path, manifest.new_header("corpus", base=base), items)
    return path


def test_real_recordings(real_corpus: Path, recordings: Path, avaffect) -> None:
    output = real_corpus.with_name("media.h5")
    words = avaffect("preprocess", real_corpus, "-o", output).stderr
    store = verify_store(output)
    for row, identifier in enumerate(store.ids):
        if identifier.endswith((".wav", ".flac")):
            facts = soundfile.info(recordings / identifier)
            expected = facts.frames * SAMPLE_RATE_HZ / facts.samplerate
            assert abs(store.lengths("waveform")[row] - expected) <= 1
            if facts.samplerate == SAMPLE_RATE_HZ and facts.channels == 1:
                original, _ = soundfile.read(recordings / identifier, dtype="int16")
                np.testing.assert_array_equal(store.read("waveform", row), original)
    # The README says: three films without sound, and six that are silent or without; GRID's have
    # sound.
    # One film is cut short.
    (lost,) = manifest.read(real_corpus.with_name("media.h5.lost.jsonl")).items
    assert lost["id"] == "video_mead/sad.mp4" and "lost 1: 1 truncated" in words
    assert f"{store.count} of {store.count + 1} utterances" in words
    assert "without sound 8: 6 no sound, 2 silent" in words
    sounds = sum(name.endswith((".wav", ".flac")) for name in store.ids)
    assert f"without face {sounds}: {sounds} no picture" in words
    for row, identifier in enumerate(store.ids):
        if identifier.startswith("video") and not identifier.endswith(".wav"):
            counts = {name: store.meta[name][row] for name in FACE_COUNTS}
            assert counts["face_frames"] >= 70 and counts["faces_absent"] == 0, identifier
            assert store.lengths("face")[row] == counts["face_frames"]
            if identifier.startswith("video_styletalk"):
                # From 30 pictures a second to 25.
                dropped = counts["frames_dropped"] / counts["face_frames"]
                assert 0.19 < dropped < 0.21 and not counts["frames_duplicated"]
    assert 0.3 < store.streams["face"].statistics["mean"][0] < 0.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_and_leaves_nothing(small_corpus: Path, number: int) -> None:
    process = _start(small_corpus, small_corpus.with_name("media.h5"))
    _wait_for_work(process, small_corpus.parent)
    workers = _children(process.pid)
    # A terminal sends Ctrl-C to the whole group.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    started = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert (
        process.returncode == {signal.SIGTERM: 75, signal.SIGINT: 130}[number]
        and "Traceback" not in errors
    ), errors
    left = {path.name for path in small_corpus.parent.iterdir()}
    assert left == {"real.jsonl", "media.h5.state"}
    kept = {path.suffix or path.name for path in small_corpus.parent.glob("*.state/store/*")}
    assert kept <= {".spool", "journal"}
    _gone(workers)


def test_killed_at_random_moments_it_leaves_nothing_that_check_accepts(
    small_corpus: Path, avaffect
) -> None:
    undisturbed = small_corpus.with_name("undisturbed.h5")
    started = time.monotonic()
    avaffect("preprocess", small_corpus, "-o", undisturbed)
    duration = time.monotonic() - started
    output = small_corpus.with_name("media.h5")
    moments = random.Random(0)
    workers: set[int] = set()
    for round_ in range(4):
        process = _start(small_corpus, output)
        if round_:
            # What the round before left may be all of the work.
            _wait_for_work(process, small_corpus.parent, may_end=True)
            time.sleep(moments.uniform(0, 0.5 * duration))
        else:
            time.sleep(moments.uniform(0, duration))
        workers |= _children(process.pid)
        process.kill()
        process.communicate()
        if output.exists():
            assert output.read_bytes() == undisturbed.read_bytes()
            output.unlink()
    avaffect("check", output, status=65)
    avaffect("preprocess", small_corpus, "-o", output)
    assert output.read_bytes() == undisturbed.read_bytes()
    assert avaffect("check", output).stdout == f"{output}: ok\n"
    assert not list(small_corpus.parent.glob(".*"))
    _gone(workers)


def test_a_worker_that_dies_costs_no_utterance(small_corpus: Path, avaffect) -> None:
    undisturbed, output = small_corpus.with_name("undisturbed.h5"), small_corpus.with_name("m.h5")
    avaffect("preprocess", small_corpus, "-o", undisturbed)
    process = _start(small_corpus, output)
    _wait_for_work(process, small_corpus.parent)
    os.kill(max(_children(process.pid)), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.read_bytes() == undisturbed.read_bytes()


def test_a_task_that_ends_its_process_is_the_only_one_lost() -> None:
    tasks = [str(n) for n in range(30)]
    tasks[7] = tasks[20] = "__import__('os')._exit(3)"
    found = list(ordered_map(eval, tasks, 2, crashed=lambda task: "crashed"))
    assert found == ["crashed" if n in (7, 20) else n for n in range(30)]
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(eval, ["1", "1 / 0"], 2, crashed=lambda task: "crashed"))


def test_workers_begin_deaf_to_ctrl_c() -> None:
    """From their first instruction on: one that is still importing would print a traceback.

    In a fresh process, since what helps processes to start is begun there once.
    """
    blocked = "2 in __import__('signal').pthread_sigmask(0, ())"
    code = (
        "from avaffect.data.workers import ordered_map\n"
        f"print(list(ordered_map(eval, [{blocked!r}] * 4, 2, crashed=str)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, True, True, True]\n"


def _start(source: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "avaffect", "preprocess", str(source), "-o", str(output)]
    return subprocess.Popen(
        [*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_for_work(process: subprocess.Popen[str], folder: Path, may_end: bool = False) -> None:
    """Until workers have written their first samples; may_end: or the process has ended."""
    deadline = time.monotonic() + 30
    while not any(_size(path) for path in folder.glob("*.state/store/*.spool")):
        if may_end and process.poll() == 0:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no work was seen; status {process.poll()}: {process.communicate()[1]}")
        time.sleep(0.005)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # The work is done, and was removed since it was listed.
        return 0


def _children(parent: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True)
    return {int(word) for word in found.stdout.split()}


def _gone(processes: set[int]) -> None:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
