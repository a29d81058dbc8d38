"""Recordings become a store: decoded right, on time, and no loss without a word."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.data import decoding, manifest
from avaffect.data.decoding import SAMPLE_RATE, decode_sound
from avaffect.data.store import Store
from avaffect.data.verifying import verify_store
from avaffect.data.workers import ordered_map
from avaffect.recipes.merge import merge
from avaffect.recipes.preprocess import preprocess
from avaffect.settings.merge import MergeSettings
from avaffect.settings.preprocess import PreprocessSettings

SECONDS = 2.0
HERTZ = 440.0


def tone(rate: int = SAMPLE_RATE, seconds: float = SECONDS) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return (0.3 * np.sin(2 * np.pi * HERTZ * times)).astype("float32")


def decoded(path: Path, *part: float | None) -> np.ndarray:
    sink = io.BytesIO()
    sound = decode_sound(path, sink, *part)
    samples = np.frombuffer(sink.getvalue(), "<i2")
    assert sound.samples == len(samples)
    assert sound.peak == (np.abs(samples.astype(int)).max() if samples.size else 0)
    return samples


def encode(
    path: Path, codec: str, rate: int = 44100, options: dict | None = None,
    stamps: dict[int, float] | None = None, samples: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """A file of a container and codec; stamps: frame number -> seconds that its time is moved."""
    samples = tone(rate) if samples is None else samples
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        size, shift = 1152, 0.0
        sampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or size)
        source = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        source.sample_rate = rate
        done = 0
        for number, frame in enumerate(sampler.resample(source) + sampler.resample(None)):
            shift += (stamps or {}).get(number, 0.0)
            frame.pts = done + round(shift * rate)
            done += frame.samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


FORMATS = {
    "wav16": ("a.wav", {"subtype": "PCM_16"}, 16000),
    "wav24 stereo": ("b.wav", {"subtype": "PCM_24"}, 44100),
    "wav float": ("c.wav", {"subtype": "FLOAT"}, 22050),
    "wav 8 kHz": ("d.wav", {"subtype": "ULAW"}, 8000),
    "flac": ("e.flac", {}, 48000),
    "ogg": ("f.ogg", {}, 44100),
}


@pytest.mark.parametrize("name", FORMATS)
def test_any_file_becomes_16_khz_mono(tmp_path: Path, name: str) -> None:
    file, options, rate = FORMATS[name]
    samples = tone(rate)
    if "stereo" in name:
        samples = np.stack([samples, 0.5 * samples], axis=1)
    soundfile.write(tmp_path / file, samples, rate, **options)
    found = decoded(tmp_path / file)
    # Vorbis starts and ends within a block.
    assert abs(len(found) - SECONDS * SAMPLE_RATE) <= (99 if name == "ogg" else 0)
    if name == "wav16":
        expected, _ = soundfile.read(tmp_path / file, dtype="int16")
        np.testing.assert_array_equal(found, expected)
    level = 0.75 if "stereo" in name else 1.0
    _same_tone(found, level)


LOSSY = {"a.mp3": "libmp3lame", "a.m4a": "aac", "a.mkv": "aac", "a.mpg": "mp2", "a.aac": "aac"}


@pytest.mark.parametrize("file,codec", LOSSY.items())
def test_lossy_codecs(tmp_path: Path, file: str, codec: str) -> None:
    found = decoded(encode(tmp_path / file, codec))
    assert abs(len(found) - SECONDS * SAMPLE_RATE) < 0.06 * SAMPLE_RATE
    _same_tone(found[4000:-4000], 1.0, tolerance=0.05)


def _same_tone(found: np.ndarray, level: float, tolerance: float = 0.02) -> None:
    """Right pitch, no other, and the right level."""
    middle = found[1000:-1000].astype(float) / 32768
    assert abs(np.sqrt(2 * np.mean(middle**2)) / (0.3 * level) - 1) < tolerance
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    hertz = np.fft.rfftfreq(len(middle), 1 / SAMPLE_RATE)
    near = np.abs(hertz - HERTZ) < 20
    assert spectrum[near].sum() > 0.99 * spectrum.sum()


@pytest.mark.parametrize("file", ["a.wav", "a.flac", "a.m4a", "a.mp3", "a.mpg", "a.ogg"])
def test_parts_are_cut_where_they_are(tmp_path: Path, file: str, monkeypatch) -> None:
    """A part equals that part of the whole, decoded from the start or after a seek."""
    rate = 32000
    noise = np.random.default_rng(0).standard_normal(6 * rate).astype("float32") * 0.1
    # AAC replaces noise at high frequencies by other noise.
    noise = np.convolve(noise, np.hanning(32) / 4, "same").astype("float32")
    if file.endswith(("wav", "flac", "ogg")):
        soundfile.write(tmp_path / file, noise, rate)
    else:
        codec = {"m4a": "aac", "mp3": "libmp3lame", "mpg": "mp2"}[file[2:]]
        encode(tmp_path / file, codec, rate, samples=noise)
    whole = decoded(tmp_path / file)
    for seek_from in (30.0, 0.5):
        monkeypatch.setattr(decoding, "SEEK_FROM_S", seek_from)
        for start, end in ((0.0, 1.0), (0.7, 1.3), (2.25, 5.75), (4.5, None)):
            found = decoded(tmp_path / file, start, end)
            last = len(whole) if end is None else round(end * SAMPLE_RATE)
            expected = whole[round(start * SAMPLE_RATE) : last]
            assert abs(len(found) - len(expected)) <= (2 if end is None else 0)
            length = min(len(found), len(expected))
            # A resampler that starts elsewhere differs by its filter's edge alone.
            inside = slice(100, length - 100)
            correlation = np.corrcoef(found[inside], expected[inside])[0, 1]
            assert correlation > 0.99, (file, start, end, correlation)


def test_sound_that_starts_late_or_has_a_gap_keeps_its_time(tmp_path: Path) -> None:
    """In Matroska, where pcm keeps its stamps: half a second is missing after 10 frames."""
    path = encode(tmp_path / "gap.mkv", "pcm_s16le", 16000, stamps={10: 0.5})
    found = decoded(path)
    gap = slice(10 * 1152, 10 * 1152 + 8000)
    assert abs(len(found) - (SECONDS + 0.5) * SAMPLE_RATE) < 20
    assert not found[gap][20:-20].any() and found[: gap.start].any() and found[gap.stop :].any()
    _same_tone(found[gap.stop + 20 :], 1.0)
    # Two streams, the sound 0.3 s after the picture.
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "uint8"), format="rgb24")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(
            (tone()[None] * 32767).astype("int16"), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = 16000, 4800
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    late = decoded(tmp_path / "late.mkv")
    assert len(late) == (SECONDS + 0.3) * SAMPLE_RATE
    assert not late[:4800].any() and late[4801:4900].all()


def test_jitter_gaps_and_broken_clocks_are_told_apart() -> None:
    clock = decoding._Clock(zero_s=10.0, position_s=0.0)

    def place(stamp: float | None) -> tuple[bool | None, float]:
        time_s = None if stamp is None else stamp + 10
        gap, here = clock.place(SimpleNamespace(time=time_s, samples=800, sample_rate=16000))
        return gap, round(here, 9)

    assert place(0.01) == (False, 0.0)  # jitter
    assert place(None) == (False, 0.05)
    assert place(0.5) == (True, 0.5)  # a gap
    assert place(0.2) == (False, 0.55)  # the clock ran back: joined on
    assert place(0.25) == (False, 0.6)  # and keeps its new zero
    assert place(500.0) == (False, 0.65)
    assert place(500.05) == (False, 0.7)
    assert place(500.60) == (True, 1.25)


def _cut(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


def lossy_cases(folder: Path) -> dict[str, str]:
    """Recordings that give no utterance, by name, and the reason that must be given."""
    cases = {"missing.wav": "missing", "folder.wav": "unreadable"}
    (folder / "folder.wav").mkdir()

    def case(name: str, reason: str) -> Path:
        cases[name] = reason
        return folder / name

    case("zero.wav", "empty").write_bytes(b"")
    case("text.wav", "unreadable").write_text("no sound\n" * 99)
    case("zeros.mp3", "unreadable").write_bytes(bytes(5000))
    soundfile.write(case("nothing.wav", "empty"), tone()[:0], SAMPLE_RATE)
    soundfile.write(case("silent.wav", "silent"), 0 * tone(), SAMPLE_RATE)
    dither = np.random.default_rng(0).integers(-2, 3, 9000).astype("int16")
    soundfile.write(case("dither.wav", "silent"), dither, SAMPLE_RATE)
    nan = tone()
    nan[777] = np.nan
    soundfile.write(case("nan.wav", "damaged"), nan, SAMPLE_RATE, subtype="FLOAT")
    noise = np.random.default_rng(0).standard_normal(9 * SAMPLE_RATE) * 0.1
    for name, samples in (("cut.wav", tone()), ("cut.flac", tone()), ("cut.ogg", noise)):
        soundfile.write(case(name, "truncated"), samples, SAMPLE_RATE)
        _cut(folder / name)
    soundfile.write(case("head.wav", "truncated"), tone(), SAMPLE_RATE)
    (folder / "head.wav").write_bytes((folder / "head.wav").read_bytes()[:44])
    _cut(encode(case("cut.mp3", "truncated"), "libmp3lame"))
    _cut(encode(case("cut.m4a", "truncated"), "aac", options={"movflags": "faststart"}))
    _cut(encode(case("index.m4a", "unreadable"), "aac"))
    _cut(encode(case("cut.mkv", "truncated"), "aac"))
    with av.open(str(case("mute.mp4", "no sound")), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "uint8"), format="rgb24")
        container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return cases


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of good recordings among bad ones, and its manifest."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    cases = lossy_cases(folder)
    items = []
    for number, name in enumerate(sorted(cases)):
        good = f"good_{number:02d}.flac"
        soundfile.write(folder / good, tone(seconds=0.5 + 0.01 * number), SAMPLE_RATE)
        items.append({"id": good, "media": good, "speaker": f"s{number % 3}", "age": number,
                      "labels": {"emotion": ["anger", None][number % 2], "arousal": 0.1},
                      })  # fmt: skip
        items.append({"id": name, "media": name, "expected": cases[name], "labels": {}})
    for name, start, end in (("after", 9.0, 10.0), ("over", 0.2, 3.0), ("turned", 0.4, 0.3),
                             ("negative", -1, 0.3), ("text", "soon", None)):  # fmt: skip
        expected = "empty" if name == "turned" else "outside"
        items.append({"id": name, "media": "good_00.flac", "start": start, "end": end,
                      "expected": expected})  # fmt: skip
    items.append({"id": "nowhere", "labels": {}, "expected": "missing"})
    items.append({"id": "part", "media": {"video": "mute.mp4", "audio": "good_05.flac"},
                  "start": 0.1, "end": 0.3})  # fmt: skip
    labels = {"emotion": {"kind": "class", "classes": ["anger", "sadness"]}}
    path = tmp_path / "corpus.jsonl"
    manifest.write(path, manifest.new_header("corpus", base="recordings", labels=labels), items)
    return path


def run(source: Path, output: Path, **options) -> Store:
    preprocess(PreprocessSettings(manifest=source, output=output, **{"jobs": 1, **options}))
    return verify_store(output)


def test_each_loss_has_its_reason_and_no_other_utterance_is_lost(corpus: Path) -> None:
    output = corpus.with_name("media.h5")
    store = run(corpus, output)
    items = manifest.read(corpus).items
    assert store.ids == [item["id"] for item in items if "expected" not in item]
    lost = manifest.read(output.with_name("media.h5.lost.jsonl"), expect="corpus")
    expected = {item["id"]: item["expected"] for item in items if "expected" in item}
    assert {item["id"]: item["lost"].split(" (")[0] for item in lost.items} == expected
    losses = store.provenance["losses"]
    assert losses["found"] == len(items) and losses["kept"] == store.count
    assert losses["lost"] == {r: list(expected.values()).count(r) for r in set(expected.values())}
    # Labels and fields stand beside the right recording.
    row = store.rows["good_04.flac"]
    assert store.meta["duration_s"][row] == 0.54 and store.meta["age"][row] == 4
    assert np.isnan(store.meta["age"][store.rows["part"]])
    assert store.label("emotion")[:4].tolist() == [0, -1, 0, -1]
    assert store.labels["arousal"].kind == "scalar"
    part = store.rows["part"]
    assert store.meta["source"][part] == "good_05.flac" and store.meta["start_s"][part] == 0.1
    assert store.lengths("waveform")[part] == 3200
    # What was lost can be tried again, by itself.
    with pytest.raises(DataError, match="were lost"):
        run(output.with_name("media.h5.lost.jsonl"), corpus.with_name("again.h5"))


def test_output_is_the_same_for_any_number_of_processes(corpus: Path) -> None:
    one, two = corpus.with_name("one.h5"), corpus.with_name("two.h5")
    run(corpus, one)
    run(corpus, two, jobs=2)
    assert one.read_bytes() == two.read_bytes()
    names = {"one.h5.lost.jsonl", "two.h5.lost.jsonl", "one.h5", "two.h5", "recordings"}
    assert {path.name for path in corpus.parent.iterdir()} == {*names, "corpus.jsonl"}


def test_merged_shards_equal_the_whole(corpus: Path) -> None:
    whole = run(corpus, corpus.with_name("whole.h5"))
    shards = []
    for index in range(5):
        path = corpus.with_name(f"part{index}.h5")
        shards.append(run(corpus, path, shard=f"{index}/5"))
        assert shards[-1].provenance["settings"]["shard"] == f"{index}/5"
    output = corpus.with_name("merged.h5")
    merge(MergeSettings(stores=tuple(shard.path for shard in shards), output=output))
    found = verify_store(output)
    assert found.content_id == whole.content_id
    assert found.provenance["losses"] == whole.provenance["losses"]
    with pytest.raises(OutputExistsError):
        run(corpus, shards[0].path)


def test_strict_stops_at_the_first_and_writes_nothing(corpus: Path) -> None:
    output = corpus.with_name("media.h5")
    for jobs in (1, 2):
        with pytest.raises(DataError, match=r"cut\.flac: truncated"):
            run(corpus, output, strict=True, jobs=jobs)
        assert not list(corpus.parent.glob("*media*"))
    run(corpus, output)
    with pytest.raises(DataError, match="lacks"):
        run(corpus, output, strict=True)


def test_silence_is_kept_on_request(corpus: Path) -> None:
    store = run(corpus, corpus.with_name("media.h5"), keep_silent=True)
    assert "silent.wav" in store.ids and "silent" not in store.provenance["losses"]["lost"]


def test_an_up_to_date_store_stays_until_a_recording_changes(corpus: Path) -> None:
    output = corpus.with_name("media.h5")
    run(corpus, output)
    inode = output.stat().st_ino
    run(corpus, output)
    assert output.stat().st_ino == inode
    soundfile.write(corpus.parent / "recordings" / "good_00.flac", tone(), SAMPLE_RATE)
    with pytest.raises(OutputExistsError):
        run(corpus, output)
    store = run(corpus, output, force=True)
    assert store.meta["duration_s"][0] == SECONDS


def test_nothing_lost_leaves_no_list_and_an_empty_manifest_an_empty_store(tmp_path: Path) -> None:
    source, output = tmp_path / "m.jsonl", tmp_path / "media.h5"
    header = manifest.new_header("corpus", labels={"emotion": {"kind": "class", "classes": ["a"]}})
    manifest.write(source, header, [])
    store = run(source, output)
    assert store.count == 0 and store.labels["emotion"].classes == ("a",)
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    listed = tmp_path / "media.h5.lost.jsonl"
    listed.write_text("of an earlier run")
    manifest.write(source, header, [{"id": "a", "media": "a.wav", "labels": {"emotion": "a"}}])
    run(source, output, force=True)
    assert not listed.exists()
    manifest.write(source, header, [{"id": "a", "media": "a.wav", "labels": {"emotion": "b"}}])
    with pytest.raises(DataError, match="a: label emotion is 'b'"):
        run(source, output, force=True)
    assert store.labels["emotion"].classes == Store(output).labels["emotion"].classes
    with pytest.raises(UsageError, match="standard output"):
        run(source, Path("-"))
    with pytest.raises(UsageError, match="jobs"):
        run(source, tmp_path / "b.h5", jobs=0)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from avaffect.data.decoding import decode_sound\n"
        "with open(sys.argv[2], 'wb') as file: decode_sound(Path(sys.argv[1]), file)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for minutes in (0.2, 20):
        path = tmp_path / "long.wav"
        noise = np.random.default_rng(0).integers(-999, 999, 12 * SAMPLE_RATE).astype("int16")
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_16") as file:
            for _ in range(round(minutes * 5)):
                file.write(np.stack([noise, noise], axis=1))
        command = [sys.executable, "-c", code, str(path), str(tmp_path / "out.raw")]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
        assert (tmp_path / "out.raw").stat().st_size == round(minutes * 60 * SAMPLE_RATE) * 2
    assert peaks[1] < peaks[0] + 8 * 1024, f"{peaks} KiB"


@pytest.fixture
def real_corpus(recordings: Path, tmp_path: Path) -> Path:
    """Every kind of recording at hand, in one manifest."""
    files = [path for folder in ("emodb", "urdu_pool", "fsdd", "video_grid", "video_mead")
             for path in sorted((recordings / folder).glob("*.*"))[:60]
             if path.suffix not in (".txt", ".align")]  # fmt: skip
    files += sorted((recordings / "video_styletalk").glob("*.*"))
    path = tmp_path / "real.jsonl"
    items = ({"id": str(f.relative_to(recordings)), "media": str(f.relative_to(recordings)),
              "speaker": f.name[:2]} for f in files)  # fmt: skip
    manifest.write(path, manifest.new_header("corpus", base=os.path.relpath(recordings, tmp_path)),
                   items)  # fmt: skip
    return path


def test_real_recordings(real_corpus: Path, recordings: Path, avaffect) -> None:
    output = real_corpus.with_name("media.h5")
    words = avaffect("preprocess", real_corpus, "-o", output).stderr
    store = verify_store(output)
    for row, identifier in enumerate(store.ids):
        if identifier.endswith((".wav", ".flac")):
            facts = soundfile.info(recordings / identifier)
            expected = facts.frames * SAMPLE_RATE / facts.samplerate
            assert abs(store.lengths("waveform")[row] - expected) <= 1
            if facts.samplerate == SAMPLE_RATE and facts.channels == 1:
                original, _ = soundfile.read(recordings / identifier, dtype="int16")
                np.testing.assert_array_equal(store.read("waveform", row), original)
    # The README says: films without sound, and six that are silent or without; GRID's have sound.
    lost = {
        i["id"]: i["lost"]
        for i in manifest.read(real_corpus.with_name("media.h5.lost.jsonl")).items
    }
    assert all(name.endswith(".mp4") and name in words for name in lost)
    assert sum(name.startswith("video_styletalk") for name in lost) == 10
    assert sum(name.startswith("video_mead") for name in lost) == 6
    assert f"{store.count} of {store.count + 16} utterances" in words
    assert "lost 16: 13 no sound, 2 silent, 1 truncated" in words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_and_leaves_nothing(real_corpus: Path, number: int) -> None:
    process = _start(real_corpus, real_corpus.with_name("media.h5"))
    _wait_for_work(process, real_corpus.parent)
    workers = _children(process.pid)
    # A terminal sends Ctrl-C to the whole group.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    started = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode == 128 + number and "Traceback" not in errors, errors
    assert {path.name for path in real_corpus.parent.iterdir()} == {"real.jsonl"}
    _gone(workers)


def test_killed_at_random_moments_it_leaves_nothing_that_check_accepts(
    real_corpus: Path, avaffect
) -> None:
    undisturbed = real_corpus.with_name("undisturbed.h5")
    started = time.monotonic()
    avaffect("preprocess", real_corpus, "-o", undisturbed)
    duration = time.monotonic() - started
    output = real_corpus.with_name("media.h5")
    moments = random.Random(0)
    workers: set[int] = set()
    for round_ in range(4):
        process = _start(real_corpus, output)
        if round_:
            _wait_for_work(process, real_corpus.parent)
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
    avaffect("preprocess", real_corpus, "-o", output)
    assert output.read_bytes() == undisturbed.read_bytes()
    assert avaffect("check", output).stdout == f"{output}: ok\n"
    assert not list(real_corpus.parent.glob(".*"))
    _gone(workers)


def test_a_worker_that_dies_costs_no_utterance(real_corpus: Path, avaffect) -> None:
    undisturbed, output = real_corpus.with_name("undisturbed.h5"), real_corpus.with_name("m.h5")
    avaffect("preprocess", real_corpus, "-o", undisturbed)
    process = _start(real_corpus, output)
    _wait_for_work(process, real_corpus.parent)
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


def _start(source: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "avaffect", "preprocess", str(source), "-o", str(output)]
    return subprocess.Popen(
        [*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_for_work(process: subprocess.Popen[str], folder: Path) -> None:
    """Until workers have written their first samples."""
    deadline = time.monotonic() + 30
    while not any(p.stat().st_size for p in folder.glob(".*.partial/*.spool")):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no work was seen; status {process.poll()}: {process.communicate()[1]}")
        time.sleep(0.005)


def _children(parent: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True)
    return {int(word) for word in found.stdout.split()}


def _gone(processes: set[int]) -> None:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_it_reads_a_pipe_and_names_losses_on_standard_error(corpus: Path, avaffect) -> None:
    with corpus.open() as stream:
        lines = stream.read()
    # A stream is relative to where it is read.
    header, rest = lines.split("\n", 1)
    header = json.dumps({**json.loads(header), "base": str(corpus.parent / "recordings")})
    output = corpus.with_name("piped.h5")
    found = avaffect(
        "preprocess", "-", "-o", output, "-q", stdin=None, input=f"{header}\n{rest}"
    )  # fmt: skip
    assert found.stdout == ""
    named = [line for line in found.stderr.splitlines() if "lost" in line]
    assert len(named) == 21 and "piped.h5.lost.jsonl" in named[-1]
    assert "lost cut.flac: truncated (1.02 s of 2.00 s are there)" in found.stderr
    verify_store(output)
    cut = avaffect("preprocess", "-", "-o", corpus.with_name("x.h5"), status=65, stdin=None,
                   input=f"{header}\n")  # fmt: skip
    assert "cut short" in cut.stderr


def test_a_dry_run_writes_nothing(corpus: Path, avaffect) -> None:
    before = set(corpus.parent.iterdir())
    found = avaffect("preprocess", corpus, "-o", corpus.with_name("media.h5"), "-n")
    assert "would decode" in found.stderr and set(corpus.parent.iterdir()) == before
