"""Annotations find their recordings: in the same folders first, by name where it is unique."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chain import invoke
from corpus_folders import touch
from pantry import EAF

from avaffect.data import manifest

SUFFIX = {"elan": "eaf", "textgrid": "TextGrid", "vtt": "vtt", "rttm": "rttm"}
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
1
<exists>
1
"IntervalTier"
"emotion"
0
1
1
0.1
0.4
"anger"
"""
TEXTS = {
    "elan": EAF.replace("Affect", "emotion"),
    "textgrid": GRID,
    "vtt": "WEBVTT\n\n00:00.100 --> 00:00.400\nemotion: anger\n",
    "rttm": "SPEAKER take 1 0.1 0.3 <NA> anger ann <NA> <NA>\n",
}


def annotate(folder: Path, to: str, *names: str, links: Sequence[str] = ()) -> None:
    for name in names:
        path = folder / f"{name}.{SUFFIX[to]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "".join(f"<MEDIA_DESCRIPTOR {link}/>" for link in links)
        path.write_text(TEXTS[to].replace('milliseconds"/>', f'milliseconds">{header}</HEADER>'))


def read(folder: Path, to: str, source: str, *options: object, status: int = 0) -> Any:
    """Recording -> id; what was said of an error."""
    said = invoke(folder, "manifest", to, source, *options, "-o", "m.jsonl", "-f", status=status)
    if status:
        return said.stderr
    items = manifest.read(folder / "m.jsonl").items
    assert all(item["labels"] == {"emotion": "anger"} for item in items)
    return {str(item["media"]): item["id"] for item in items}


@pytest.mark.parametrize("to", SUFFIX)
def test_folders_tell_recordings_of_one_name_apart(tmp_path: Path, to: str) -> None:
    touch(tmp_path, "r/s1/take.wav", "r/s2/take.wav", "r/s2/other.wav")
    annotate(tmp_path / "r", to, "s1/take", "s2/take")
    apart = {"s1/take.wav": "s1/take_0.1-0.4", "s2/take.wav": "s2/take_0.1-0.4"}
    assert read(tmp_path, to, "r") == apart
    # In a tree of its own.
    annotate(tmp_path / "a", to, "s1/take", "s2/take")
    assert read(tmp_path, to, "a", "--root", "r") == apart
    # One of them, beside the recordings.
    assert read(tmp_path, to, f"r/s2/take.{SUFFIX[to]}", "--root", "r") == {
        "s2/take.wav": "s2/take_0.1-0.4"
    }
    # A recording at the top is that of the annotations at the top.
    touch(tmp_path, "r/take.wav")
    annotate(tmp_path / "top", to, "take")
    assert read(tmp_path, to, "top", "--root", "r") == {"take.wav": "take_0.1-0.4"}


@pytest.mark.parametrize("to", SUFFIX)
def test_a_name_without_a_place_is_unique(tmp_path: Path, to: str) -> None:
    touch(tmp_path, "r/s1/take.wav", "q/s1/take.wav", "q/s2/take.flac")
    annotate(tmp_path / "a", to, "take")
    assert read(tmp_path, to, "a", "--root", "r") == {"s1/take.wav": "take_0.1-0.4"}
    said = read(tmp_path, to, "a", "--root", "q", status=65)
    assert "s1/take.wav" in said and "s2/take.flac" in said


@pytest.mark.parametrize("to", ["elan", "textgrid", "vtt"])
def test_two_files_are_not_of_one_recording(tmp_path: Path, to: str) -> None:
    """That of the other was not copied, say."""
    touch(tmp_path, "r/take.wav")
    annotate(tmp_path / "a", to, "s1/take", "s2/take")
    said = read(tmp_path, to, "a", "--root", "r", status=65)
    assert f"s1/take.{SUFFIX[to]}" in said and f"s2/take.{SUFFIX[to]}" in said
    # The one in its place is known; the other is lost.
    touch(tmp_path, "p/s1/take.wav")
    assert read(tmp_path, to, "a", "--root", "p") == {"s1/take.wav": "s1/take_0.1-0.4"}


@pytest.mark.parametrize("to", SUFFIX)
def test_sound_and_film_of_one_name_are_one(tmp_path: Path, to: str) -> None:
    touch(tmp_path, "r/take.wav", "r/take.mp4", "r/take.mp3")
    annotate(tmp_path / "r", to, "take")
    assert read(tmp_path, to, "r") == {"{'audio': 'take.wav', 'video': 'take.mp4'}": "take_0.1-0.4"}


def test_links_of_elan_tell_recordings_apart(tmp_path: Path) -> None:
    touch(tmp_path, "r/s1/take.wav", "r/s2/take.wav", "r/s3/s2/take.wav")
    for link, found in {
        'MEDIA_URL="file:///C:/data/s1/take.wav"': "s1/take.wav",
        f'MEDIA_URL="{(tmp_path / "r/s2/take.wav").as_uri()}"': "s2/take.wav",
        'MEDIA_URL="" RELATIVE_MEDIA_URL="../r/s3/s2/take.wav"': "s3/s2/take.wav",
    }.items():
        annotate(tmp_path / "a", "elan", "take", links=[link])
        assert [*read(tmp_path, "elan", "a", "--root", "r")] == [found]
    annotate(tmp_path / "a", "elan", "take", links=['MEDIA_URL="file:///C:/data/s2/take.wav"'])
    assert "s2/take.wav" in read(tmp_path, "elan", "a", "--root", "r", status=65)


def test_a_cue_of_subrip_with_a_blank_line_is_whole(tmp_path: Path) -> None:
    touch(tmp_path, "take.wav")
    cues = "1\n00:00:00,100 --> 00:00:00,400\nwell\n\nyes\n\n2\n00:00:01,000 --> 00:00:02,000\nno\n"
    (tmp_path / "take.srt").write_text(cues)
    invoke(tmp_path, "manifest", "vtt", ".", "-o", "m.jsonl")
    found = manifest.read(tmp_path / "m.jsonl").items
    assert [(item["id"], item["text"]) for item in found] == [
        ("take_0.1-0.4", "well yes"), ("take_1-2", "no"),
    ]  # fmt: skip
