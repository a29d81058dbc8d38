"""Recordings become a store, and none is lost without a word."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from chain import closed
from sounds import SECONDS, encode, tone

from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.verifying import verify_store
from avaffect.recipes.merge import merge
from avaffect.recipes.preprocess import preprocess
from avaffect.settings.merge import MergeSettings
from avaffect.settings.preprocess import PreprocessSettings


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
    soundfile.write(case("nothing.wav", "empty"), tone()[:0], SAMPLE_RATE_HZ)
    soundfile.write(case("silent.wav", "silent"), 0 * tone(), SAMPLE_RATE_HZ)
    dither = np.random.default_rng(0).integers(-2, 3, 9000).astype("int16")
    soundfile.write(case("dither.wav", "silent"), dither, SAMPLE_RATE_HZ)
    nan = tone()
    nan[777] = np.nan
    soundfile.write(case("nan.wav", "damaged"), nan, SAMPLE_RATE_HZ, subtype="FLOAT")
    noise = np.random.default_rng(0).standard_normal(9 * SAMPLE_RATE_HZ) * 0.1
    for name, samples in (("cut.wav", tone()), ("cut.flac", tone()), ("cut.ogg", noise)):
        soundfile.write(case(name, "truncated"), samples, SAMPLE_RATE_HZ)
        _cut(folder / name)
    soundfile.write(case("head.wav", "truncated"), tone(), SAMPLE_RATE_HZ)
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
        soundfile.write(folder / good, tone(seconds=0.5 + 0.01 * number), SAMPLE_RATE_HZ)
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
    soundfile.write(corpus.parent / "recordings" / "good_00.flac", tone(), SAMPLE_RATE_HZ)
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
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE_HZ)
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


def test_it_reads_a_pipe_and_names_losses_on_standard_error(corpus: Path, avaffect) -> None:
    with corpus.open() as stream:
        lines = stream.read()
    # A stream is relative to where it is read.
    header, rest = lines.split("\n", 1)
    header = json.dumps({**json.loads(header), "base": str(corpus.parent / "recordings")})
    output = corpus.with_name("piped.h5")
    found = avaffect(
        "preprocess", "-", "-o", output, "-q", stdin=None, input=closed(f"{header}\n{rest}")
    )  # fmt: skip
    assert found.stdout == ""
    named = [line for line in found.stderr.splitlines() if "lost" in line]
    assert len(named) == 21 and "piped.h5.lost.jsonl" in named[-1]
    assert "lost cut.flac: truncated (only 1.02 s of 2.00 s are present)" in found.stderr
    verify_store(output)
    cut = avaffect("preprocess", "-", "-o", corpus.with_name("x.h5"), status=65, stdin=None,
                   input=f"{header}\n")  # fmt: skip
    assert "cut short" in cut.stderr


def test_a_dry_run_writes_nothing(corpus: Path, avaffect) -> None:
    before = set(corpus.parent.iterdir())
    found = avaffect("preprocess", corpus, "-o", corpus.with_name("media.h5"), "-n")
    assert "would decode" in found.stderr and set(corpus.parent.iterdir()) == before
