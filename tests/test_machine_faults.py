"""A fault of the machine that passes costs no recording: the run stops, or a rerun tries again."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
from chain import invoke

from avaffect.core import faults
from avaffect.core.errors import MachineFault, OutputExistsError
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest, media, recordings
from avaffect.data.decoding import audio, unusable
from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.unusable import Unusable, check_machine
from avaffect.data.faces import extraction
from avaffect.data.faces.options import FaceOptions
from avaffect.data.store.reader import Store
from avaffect.data.workers import ordered_map
from avaffect.recipes.preprocess import preprocess
from avaffect.settings.preprocess import PreprocessSettings

ROOT = Path(__file__).resolve().parent.parent
# prctl(2), capabilities(7): root that may not read what its permissions forbid.
DROP_FROM_BOUNDING_SET, OVERRIDES = 24, (1, 2)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    items = []
    for number in range(3):
        samples = np.random.default_rng(number).normal(0, 0.1, 8000)
        soundfile.write(tmp_path / f"u{number}.wav", samples, 16000)
        items.append({"id": f"u{number}", "media": f"u{number}.wav"})
    manifest.write(tmp_path / "m.jsonl", manifest.new_header("corpus", labels={}), items)
    return tmp_path


def _settings(corpus: Path, **options) -> PreprocessSettings:
    return PreprocessSettings(
        manifest=corpus / "m.jsonl", output=corpus / "s.h5", without="video", jobs=1, **options
    )


@contextlib.contextmanager
def _open_files(spare: int) -> Iterator[None]:
    """A process that may open `spare` files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as lowest:
        free = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_no_descriptor_left_stops_the_run(corpus: Path, monkeypatch) -> None:
    sink = io.BytesIO()
    with _open_files(0), pytest.raises(MachineFault, match=r"u0\.wav.*EMFILE.*ulimit -n"):
        decode_audio(corpus / "u0.wav", sink)
    # FFmpeg meets it too.
    monkeypatch.setattr(audio, "check_file", lambda path: None)
    with (
        _open_files(0),
        pytest.raises((MachineFault, OSError), match=r"EMFILE|Too many open files"),
    ):
        decode_audio(corpus / "u0.wav", sink)


def test_too_little_memory_stops_the_run(tmp_path: Path) -> None:
    """Whatever a decoder lacks memory for: the pictures are whole, or the fault is named."""
    container = av.open(str(tmp_path / "large.mp4"), "w")
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 2048, 2048, "yuv420p"
    for _ in range(3):
        picture = av.VideoFrame.from_ndarray(np.zeros((3072, 2048), "uint8"), format="yuv420p")
        container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
    container.close()
    code = f"""
import resource
from pathlib import Path
from avaffect.core.errors import MachineFault, OutputExistsError
from avaffect.data import media
from avaffect.data.faces.options import FaceOptions
options = media.DecodingOptions(False, faces=FaceOptions('none', colour=True))
task = media.Task(audio=None, video=Path({str(tmp_path / "large.mp4")!r}), start_s=None,
                  end_s=None, spool=Path({str(tmp_path / "spool")!r}), options=options,
                  channels=(), samples=0)
seen = []
def attempt():
    try:
        found = media._decode(task)
        seen.append(found.counts['face_frames'] if isinstance(found, media.Decoded) else found)
    except MachineFault as fault:
        assert 'ENOMEM' in str(fault) or 'EAGAIN' in str(fault), fault
        assert 'large.mp4' in str(fault), fault
        seen.append('fault')
for spare in (4 << 20, 12 << 20, 24 << 20, 40 << 20):
    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, resource.RLIM_INFINITY))
    attempt()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
attempt()
print(seen)
assert seen[0] == 'fault' and seen[-1] == 3 and set(seen) <= {{'fault', 3}}, seen
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_k_means_without_memory_for_openblas_ends() -> None:
    """OpenBLAS itself would wait for it for ever."""
    code = """
import resource
import numpy as np
from avaffect.core.progress import SILENT
from avaffect.recipes.encoding import kmeans
frames = np.random.default_rng(0).normal(size=(4000, 13)).astype(np.float32)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (12 << 20), resource.RLIM_INFINITY))
try:
    kmeans.fit(frames, 4, 1, 0, None, None, None, SILENT)
except MemoryError:
    print('ended')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "ended\n", done.stderr


def test_a_damaged_header_that_asks_for_all_memory_is_no_fault_of_the_machine() -> None:
    check_machine("x.mp4", av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"))
    check_machine("x.mp4", av.error.InvalidDataError(1094995529, "Invalid data"))


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ETIMEDOUT, errno.ENFILE])
def test_errors_of_the_system_within_ffmpeg(code: int) -> None:
    with pytest.raises(MachineFault, match=errno.errorcode[code]):
        check_machine("x.mp4", av.error.OSError(code, os.strerror(code)))


def test_a_disk_that_fails_half_way_is_no_truncated_recording(corpus: Path, monkeypatch) -> None:
    """FFmpeg takes an error of reading for the file's end."""
    path = corpus / "u0.wav"
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(Unusable, match="truncated"):
        decode_audio(path, io.BytesIO())
    plain = Path.open

    class Failing:
        def __init__(self, stream) -> None:
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *error) -> None:
            self.stream.close()

        def __getattr__(self, name: str):
            return getattr(self.stream, name)

        def read(self, size: int) -> bytes:
            if size == faults.READ_BYTES:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self.stream.read(size)

    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Failing(plain(self, *a, **k)))
    with pytest.raises(MachineFault, match="EIO"):
        decode_audio(path, io.BytesIO())


def test_memory_that_opencv_lacks_is_no_loss(corpus: Path, monkeypatch) -> None:
    def fails(*arguments):
        raise cv2.error("OpenCV(4.13.0) (-4:Insufficient memory) Failed to allocate 99 bytes")

    monkeypatch.setattr(extraction, "decode_faces", fails)
    task = media.Task(
        audio=None, video=corpus / "u0.wav", start_s=None, end_s=None, spool=corpus / "spool",
        options=media.DecodingOptions(False, faces=FaceOptions("none")), channels=(), samples=0,
    )  # fmt: skip
    with pytest.raises(MachineFault, match=r"u0\.wav"):
        media._decode(task)


def test_a_killed_process_stops_the_run() -> None:
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    with pytest.raises(MachineFault, match="killed twice"):
        list(ordered_map(eval, ["1", kill], 2, crashed=lambda task: "crashed"))


def test_recordings_lost_to_a_crash_are_decoded_again(corpus: Path, monkeypatch) -> None:
    words: list[str] = []

    class Words(Progress):
        def say(self, message: str) -> None:
            words.append(message)

    real = media._decode

    def crashes(task):
        lost = media._crashed(task)
        return lost if task.audio.name == "u1.wav" else real(task)

    monkeypatch.setattr(media, "_decode", crashes)
    preprocess(_settings(corpus))
    assert Store(corpus / "s.h5").ids == ["u0", "u2"]
    monkeypatch.setattr(media, "_decode", real)
    preprocess(_settings(corpus), Words())
    assert Store(corpus / "s.h5").ids == ["u0", "u1", "u2"]
    assert "lacks 1 recording whose decoder crashed" in words[0]
    preprocess(_settings(corpus), Words())
    assert words[-1].endswith("is up to date")


def _without_overrides() -> None:
    for capability in OVERRIDES:
        ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


def test_forbidden_recordings_stop_the_run_before_any_work(corpus: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "avaffect", *map(str, arguments)], text=True, timeout=60,
            capture_output=True, preexec_fn=_without_overrides,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    command = ["preprocess", corpus / "m.jsonl", "-o", corpus / "s.h5", "--without", "video",
               "--jobs", "1"]  # fmt: skip
    (corpus / "u1.wav").chmod(0)
    found = run(*command)
    if found.returncode == 0:
        pytest.skip("this machine lets root read whatever is forbidden")
    assert found.returncode == 1
    assert "u1.wav: Permission denied (EACCES)" in found.stderr
    assert not (corpus / "s.h5").exists()
    (corpus / "u1.wav").chmod(0o644)
    assert run(*command).returncode == 0
    assert Store(corpus / "s.h5").count == 3


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_folder_that_cannot_be_listed_is_not_empty(code: int, tmp_path, monkeypatch) -> None:
    (tmp_path / "inner").mkdir()
    plain = os.scandir

    def fails(path):
        if str(path).endswith("inner"):
            raise OSError(code, os.strerror(code), str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", fails)
    with pytest.raises(OSError, match="inner"):
        list(faults.walk(tmp_path))


def test_a_recording_whose_state_is_unknown_has_no_identity(corpus: Path, monkeypatch) -> None:
    """Otherwise it would pass for a missing one."""
    corpus_manifest = manifest.read(corpus / "m.jsonl")

    def fails(self, **options):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Path, "stat", fails)
    with pytest.raises(MachineFault, match="ESTALE"):
        recordings.media_content_id(corpus_manifest, corpus_manifest.items)
    with pytest.raises(MachineFault, match="ESTALE"):
        unusable.check_file(corpus / "u0.wav")


def test_recordings_that_come_back_are_named(corpus: Path) -> None:
    words: list[str] = []

    class Words(Progress):
        def say(self, message: str) -> None:
            words.append(message)

    (corpus / "u1.wav").rename(corpus / "away")
    preprocess(_settings(corpus))
    (corpus / "away").rename(corpus / "u1.wav")
    with pytest.raises(OutputExistsError):
        preprocess(_settings(corpus), Words())
    assert "lacks 1 recording that were missing" in words[0] and "--force" in words[0]


def test_faults_are_not_taken_for_damage(corpus: Path, monkeypatch) -> None:
    """Who is told that a store is damaged, or that an output is, would delete it."""
    preprocess(_settings(corpus))
    plain = os.preadv

    def fails(descriptor: int, *rest):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    for replaced in (fails, plain):
        monkeypatch.setattr(os, "preadv", replaced)
        for opening in (Store, artifacts.describe):
            if replaced is plain:
                opening(corpus / "s.h5")
                continue
            with pytest.raises(MachineFault, match="ESTALE"):
                opening(corpus / "s.h5")
    with _open_files(0), pytest.raises(MachineFault, match="EMFILE"):
        artifacts.describe(corpus / "s.h5")


def test_a_library_that_says_the_error_in_words() -> None:
    error = RuntimeError("I/O error: Input/output error (os error 5)")
    with pytest.raises(MachineFault, match="EIO"):
        faults.check_machine("x.safetensors", error)
    faults.check_machine("x.safetensors", ValueError("invalid header"))
    # More than any file needs: its header is damaged.
    faults.check_machine("x.pt", MemoryError())


@pytest.mark.parametrize("lacks", [True, False])
def test_a_library_that_memory_is_too_little_for_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: bool
) -> None:
    """matplotlib is there, and its import fails; as where the system maps no more memory."""
    (tmp_path / "matplotlib.py").write_text(
        "raise ImportError('ft2font.so: failed to map segment from shared object')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [one for one in sys.modules if one.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(faults, "memory_lacks", lambda: lacks)
    line = '{"step": 1, "epoch": 0, "done": 1.0, "loss": 1.0, "seconds": 1.0}\n'
    (tmp_path / "er.safetensors.metrics.jsonl").write_text(line * 2)
    found = invoke(tmp_path, "monitor", "er.safetensors", "--once", "--plot", "x.svg", status=1)
    assert ("out of memory" in found.stderr) == lacks and "failed to map" in found.stderr
    assert "pip install" not in found.stderr
