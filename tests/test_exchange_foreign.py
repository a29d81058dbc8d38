"""Lists that other programs wrote say more than one thing of an utterance, or of its sound: none of
it becomes another label, or another sound, without a word."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import talks
from chain import invoke

from avaffect.cli.main import run
from avaffect.data import manifest

DB = """name: two raters
source: test
usage: other
schemes: {emotion: {dtype: str}}
tables:
  first: {type: filewise, columns: {emotion: {scheme_id: emotion}, words: {}}}
  second: {type: filewise, columns: {emotion: {scheme_id: emotion}, words: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    talks.write(tmp_path)
    return tmp_path


def read(folder: Path, to: str, *options: object) -> tuple[dict[str, dict[str, Any]], str]:
    """Items by id, and what `manifest` said."""
    said = invoke(folder, "manifest", to, "in", *options, "-f", "-o", "m.jsonl").stderr
    return {item["id"]: item for item in manifest.read(folder / "m.jsonl").items}, said


def write(folder: Path, **files: str) -> None:
    (folder / "in").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "in" / name).write_text(text, encoding="utf-8")


def test_tables_of_audformat_that_differ_are_columns_of_their_own(folder: Path) -> None:
    first = "file,emotion,words\n../talks/one.wav,anger,so\n../talks/two.flac,sadness,\n"
    write(folder, **{
        "db.yaml": DB,
        "db.first.csv": first,
        "db.second.csv": first.replace("anger", "happiness").replace("sadness,", "sadness,what"),
    })  # fmt: skip
    items, said = read(folder, "audformat")
    assert [item["labels"] for item in items.values()] == [{}, {}]
    assert items["one"]["first.emotion"] == "anger"
    assert items["one"]["second.emotion"] == "happiness"
    # What one table alone says, or both say, is one value.
    assert [item["words"] for item in items.values()] == ["so", "what"]
    assert "first.emotion, second.emotion" in said
    items, _ = read(folder, "audformat", "--label", "emotion=second.emotion")
    assert [item["labels"]["emotion"] for item in items.values()] == ["happiness", "sadness"]


def test_tabs_of_kaldi_separate_as_blanks_do(folder: Path) -> None:
    one = folder / "talks" / "one.wav"
    write(folder, **{
        "wav.scp": f"a\t{one}\nb \t{one}\n",
        "text": "a\twhat is it\nb  so what\n",
        "utt2emotion": "a\tvery happy\nb\tanger\n",
        "utt2lang": "A\tde\nb\ten\n",
    })  # fmt: skip
    items, said = read(folder, "kaldi")
    assert [item["text"] for item in items.values()] == ["what is it", "so what"]
    assert [item["labels"]["emotion"] for item in items.values()] == ["very happy", "anger"]
    # A line for no utterance is named.
    assert "lang" not in items["a"] and "utt2lang" in said


def test_commands_of_kaldi_that_change_the_sound_are_left_out(folder: Path) -> None:
    one = folder / "talks" / "one.wav"
    write(folder, **{"wav.scp": (
        f"a sox {one} -t wav - speed 0.9 |\n"
        f"b sph2pipe -f wav -p -c 2 {one} |\n"
        f"c sox {one} -r 16000 -t wav - remix 1,2 |\n"
        f"d ffmpeg -i {one} -ss 1 -f wav - |\n"
        f"e flac -c -d {one} | wav-reverberate - room.wav - |\n"
        f"f ffmpeg -v error -i {one} -ar 16000 -map_channel 0.0.1 -f wav - |\n"
        f"g ffmpeg -v error -i {one} -f wav - |\n"
    )})  # fmt: skip
    items, said = read(folder, "kaldi", "--field", "x=audio_channels")
    found = {name: item.get("audio_channels") for name, item in items.items()}
    assert found == {"b": "1", "c": "0,1", "f": "1", "g": None}
    assert all(name in said for name in ("sox speed", "ffmpeg -ss", "wav-reverberate"))


def lhotse(folder: Path, recording: dict[str, Any], *channels: object) -> None:
    path = str(folder / "talks" / "one.wav")
    sources = recording.pop("sources", [[0, 1]])
    whole = {
        "id": "r", "sampling_rate": 16000, "num_samples": 48000, "duration": 3.0,
        "sources": [{"type": "file", "channels": own, "source": path} for own in sources],
        **recording,
    }  # fmt: skip
    said = [{"id": f"u{n}", "recording_id": "r", "start": 0.5, "duration": 1.0, "channel": channel}
            for n, channel in enumerate(channels)]  # fmt: skip
    write(folder, **{
        "recordings.jsonl": json.dumps(whole) + "\n",
        "supervisions.jsonl": "".join(json.dumps(one) + "\n" for one in said),
    })  # fmt: skip


def test_channels_of_lhotse(folder: Path) -> None:
    soundfile.write(folder / "talks" / "one.wav", np.full((48000, 2), 0.1), 16000)
    lhotse(folder, {}, 0, [1], [0, 1])
    items, _ = read(folder, "lhotse")
    assert [item.get("audio_channels") for item in items.values()] == ["0", "1", None]
    # They are in the export, too.
    invoke(folder, "export", "m.jsonl", "--to", "lhotse", "-o", "out")
    with gzip.open(folder / "out" / "supervisions.jsonl.gz", "rt") as stream:
        again = [json.loads(line)["channel"] for line in stream]
    assert again == [0, 1, [0, 1]]


def test_files_of_channels_of_lhotse(folder: Path) -> None:
    lhotse(folder, {"sources": [[0], [1, 2]]}, 0, 2, [0, 1])
    items, said = read(folder, "lhotse")
    found = {name: item.get("audio_channels") for name, item in items.items()}
    assert found == {"u0": None, "u1": "1"}
    assert "several files" in said


def test_changed_recordings_of_lhotse_are_left_out(folder: Path) -> None:
    resampled = {"name": "Resample", "kwargs": {}}
    lhotse(folder, {"transforms": [resampled]}, [0, 1])
    assert [*read(folder, "lhotse")[0]] == ["u0"]
    lhotse(folder, {"transforms": [resampled, {"name": "Speed", "kwargs": {"factor": 0.9}}]}, 0)
    refused = run(["manifest", "lhotse", str(folder / "in")])
    assert refused != 0


def test_turns_on_two_channels_of_rttm(folder: Path) -> None:
    write(folder, **{"one.rttm": "".join(
        f"SPEAKER {name} {channel} {start} 1.0 <NA> {emotion} {speaker} <NA> <NA>\n"
        for name, channel, start, emotion, speaker in (
            ("one", 1, 0.5, "anger", "ann"), ("one", 2, 0.5, "sadness", "bob"),
            ("two", 1, 0.0, "anger", "ann"), ("two", 1, 0.0, "sadness", "bob"),
        )
    )})  # fmt: skip
    items, _ = read(folder, "rttm", "--root", folder / "talks")
    assert {name: (item.get("audio_channels"), item["speaker"], item["labels"]["emotion"])
            for name, item in items.items()} == {
        "one_0.5-1.5_1_ann": ("0", "ann", "anger"), "one_0.5-1.5_2_bob": ("1", "bob", "sadness"),
        "two_0-1_ann": (None, "ann", "anger"), "two_0-1_bob": (None, "bob", "sadness"),
    }  # fmt: skip


def textgrid(folder: Path, tiers: dict[str, list[tuple[float, float, str]]]) -> None:
    lines = ['"ooTextFile"', '"TextGrid"', "0", "3", "<exists>", str(len(tiers))]
    for name, own in tiers.items():
        lines += ['"IntervalTier"', f'"{name}"', "0", "3", str(len(own))]
        lines += [f'{start} {end} "{text}"' for start, end, text in own]
    write(folder, **{"one.TextGrid": "\n".join(lines) + "\n"})


def test_annotations_that_differ_are_no_label(folder: Path) -> None:
    textgrid(folder, {
        "turn": [(0, 1, "ann"), (1, 2, "bob")],
        "affect": [(0, 0.4, "anger"), (0.4, 0.8, "neutral"), (1, 1.2, "anger"), (1.2, 2, "anger"),
                   (2.5, 3, "fear")],
    })  # fmt: skip
    root = ("--root", folder / "talks")
    items, said = read(folder, "textgrid", *root, "--label", "who=turn", "--label", "a=affect")
    assert [item["labels"] for item in items.values()] == [
        {"who": "ann"}, {"who": "bob", "a": "anger"},
    ]  # fmt: skip
    # The third is in no turn.
    assert "one_0-1" in said and "one_2.5-3" in said


def test_a_turn_is_of_all_its_utterances(folder: Path) -> None:
    textgrid(folder, {
        "speaker": [(0, 1, "ann"), (1, 2, "bob")],
        "emotion": [(0, 0.4, "anger"), (0.4, 0.9, "neutral"), (1.6, 1.9, "anger"), (2, 3, "fear")],
    })  # fmt: skip
    items, _ = read(folder, "textgrid", "--root", folder / "talks")
    assert [item.get("speaker") for item in items.values()] == ["ann", "ann", "bob", None]


def test_contained_recordings_replace_no_other(folder: Path) -> None:
    """The third is named as the first is, and would be called as the second is by its number."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names, kept = ("a.wav", "a_3.wav", "a.wav"), folder / "media" / "b.wav"
    sounds = [b"RIFF first", b"RIFF second", b"RIFF third"]
    rows = [{"id": f"u{n}", "audio": {"bytes": sound, "path": name}}
            for n, (name, sound) in enumerate(zip(names, sounds))]  # fmt: skip
    write(folder)
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "in" / "train.parquet")
    kept.parent.mkdir()
    kept.write_bytes(b"of others")
    for _ in range(2):
        items, _ = read(folder, "huggingface", "--unpack", "media")
        there = [(folder / "media" / item["media"]).read_bytes() for item in items.values()]
        assert there == sounds and kept.read_bytes() == b"of others"
        assert len([*kept.parent.iterdir()]) == 4


def test_words_of_subtitles_are_no_fields(folder: Path) -> None:
    cues = ("split: we do\nNote: so what\nemotion: anger\nsure: 0.5", "media: yes")
    times = ("00:00.500 --> 00:01.000", "00:01.000 --> 00:02.000")
    blocks = [f"{time}\n{cue}\n" for time, cue in zip(times, cues)]
    write(folder, **{"one.vtt": "\n".join(["WEBVTT\n", *blocks])})
    root = ("--root", folder / "talks")
    first, second = read(folder, "vtt", *root)[0].values()
    assert first["text"] == "split: we do Note: so what sure: 0.5"
    assert first["labels"] == {"emotion": "anger"} and not {"split", "Note", "sure"} & {*first}
    assert second["text"] == "media: yes"
    first, _ = read(folder, "vtt", *root, "--scalar", "sure=sure")[0].values()
    assert first["labels"] == {"emotion": "anger", "sure": 0.5}
    assert first["text"] == "split: we do Note: so what"
    # One file of an export is as the folder is.
    invoke(folder, "export", "m.jsonl", "--to", "vtt", "-o", "out")
    invoke(folder, "manifest", "vtt", "out/one.vtt", *root, "-o", "one.jsonl")
    again = manifest.read(folder / "one.jsonl").items[0]
    assert again["text"] == first["text"] and again["sure"] == "0.5"


def test_parts_without_their_times_are_named(folder: Path) -> None:
    """Otherwise a model would hear a whole talk as each of its turns."""
    invoke(folder, "export", "talks.jsonl", "--to", "csv", "-o", "in.csv")
    table = ("manifest", "table", "in.csv", "--id", "id", "--media", "media", "-f", "-o", "m.jsonl")
    assert "t_a, t_b" in invoke(folder, *table).stderr
    assert "t_a" not in invoke(folder, *table, "--start", "start", "--end", "end").stderr
