"""Readers of transcripts with times: each format, damaged ones too; the words of a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avaffect.core.errors import DataError, UsageError
from avaffect.data.transcripts import reading
from avaffect.data.transcripts.words import Cue, Transcript, transcript_of

Timed = list[tuple[str, float, float]]


def words_in(path: Path, name: str | None = None, tier: str | None = None) -> Timed:
    found = reading.find(path, tier).of(name or path.stem)
    return list(zip(found.words, found.starts.round(3).tolist(), found.ends.round(3).tolist()))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


WANTED = [("one", 0.5, 0.8), ("two", 1.0, 1.5)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "start,end,word\n0.5,0.8,one\n1,1.5,two\n"),
        ("a.tsv", "Start (s)\tEnd (s)\tText\n0.5\t0.8\tone\n1\t1.5\ttwo\n"),
        ("a.csv", "word;begin;stop\none;0,5;0,8\ntwo;1,0;1,5\n"),
        ("a.csv", "start_ms,end_ms,text\n500,800,one\n1000,1500,two\n"),
        ("a.csv", "text,onset,offset\none,00:00:00.5,0.8 s\ntwo,1,1500 ms\n"),
        ("a.srt", "1\n00:00:00,500 --> 00:00:00,800\n<i>one</i>\n\n2\n00:00:01,000 --> "
                  "00:00:01,500\n{\\an8}two\n"),
        ("a.srt", "1\n00:00:00,500 --> 00:00:00,800\none\n2\n00:00:01,000 --> 00:00:01,500\ntwo"),
        ("a.vtt", "WEBVTT\n\nNOTE a remark\nof two lines\n\nSTYLE\n::cue { color: red }\n\nfirst\n"
                  "00:00.500 --> 00:00.800 align:start\n<v Ann>one</v>\n\n00:01.000 --> "
                  "00:01.500\n<c.yellow>two</c>\n\nNOTE last\n"),
        ("a.vtt", "WEBVTT\n\n00:00.500 --> 00:01.500\none<00:00.800><00:01.000><c> two</c>\n"),
        ("a.vtt", "WEBVTT - a title\n\n00:00.500 --> 00:00.800\n\none\n\n00:01.000 --> 00:01.500\n"
                  "two\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_and_subtitles(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    assert words_in(written(tmp_path / name, text.replace("\n", "\r\n"), encoding)) == WANTED


def test_a_blank_line_in_a_text_of_subrip(tmp_path: Path) -> None:
    """Programs write them, and players show what follows; in WebVTT a blank line ends the cue."""
    text = (
        "1\n00:00:00,500 --> 00:00:00,800\n\none\n\nhalf\n\n2\n00:00:01,000 --> 00:00:01,500\ntwo\n"
    )
    said = [word for word, _, _ in words_in(written(tmp_path / "a.srt", text + "\n\nmore\n"))]
    assert said == ["one", "half", "two", "more"]
    web = f"WEBVTT\n\n{text}\n\nNOTE more\n".replace(",", ".")
    assert [word for word, _, _ in words_in(written(tmp_path / "a.vtt", web))] == ["one", "two"]


def test_captions_that_roll_are_read_once(tmp_path: Path) -> None:
    """As YouTube's: each line is shown again without times while the next one is spoken."""
    path = written(
        tmp_path / "a.vtt",
        "WEBVTT\nKind: captions\nLanguage: en\n\n"
        "00:00:00.500 --> 00:00:02.000 align:start position:0%\n \n"
        "one<00:00:00.800><c> two</c>\n\n"
        "00:00:02.000 --> 00:00:02.010 align:start position:0%\none two\n \n\n"
        "00:00:02.010 --> 00:00:03.000 align:start position:0%\none two\n"
        "no<00:00:02.400><c> no&amp;no</c>\n\n",
    )
    assert [word for word, _, _ in words_in(path)] == ["one", "two", "no", "no&no"]
    # Without times of words a line may well be said twice.
    path = written(tmp_path / "a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nno\n\n"
                   "00:02.000 --> 00:03.000\nno\n")  # fmt: skip
    assert words_in(path) == [("no", 1, 2), ("no", 2, 3)]


MARKED = """WEBVTT

00:00.000 --> 00:00.500
<u>No</u> no, no
00:00.500 --> 00:00.800
No no, no

00:00.800 --> 00:01.000
No <u>no,</u> no

00:01.000 --> 00:02.000
No no, <u>no</u>

00:02.000 --> 00:03.000
well <i>well</i> well

00:03.000 --> 00:04.000
Yes

00:04.000 --> 00:05.000
Yes
"""


def test_words_that_are_marked_one_after_the_other_are_said_once(tmp_path: Path) -> None:
    whole = [("well", 2 + k / 3, 2 + (k + 1) / 3) for k in range(3)]
    said = [("No", 0, 0.5), ("no,", 0.8, 1), ("no", 1, 2), *whole, ("Yes", 3, 4), ("Yes", 4, 5)]
    for tag in ("u", "b", 'font color="#00ff00"'):
        name = tag.split()[0]
        text = MARKED.replace("<u>", f"<{tag}>").replace("</u>", f"</{name}>")
        found = words_in(written(tmp_path / "a.vtt", text))
        assert [word for word, *_ in found] == [word for word, *_ in said]
        np.testing.assert_allclose([t for _, *t in found], [t for _, *t in said], atol=1e-3)


def textgrid(short: bool, tiers: str) -> str:
    """tiers: NAME=START,END,TEXT|… of intervals, or NAME@TIME,MARK|… of points; ; between them."""
    out = ['"ooTextFile"', '"TextGrid"', "0", "2", "<exists>", str(tiers.count(";") + 1)]
    for tier in tiers.split(";"):
        mark = "=" if "=" in tier else "@"
        name, _, content = tier.partition(mark)
        rows = [row.split(",") for row in content.split("|")]
        out += ['"IntervalTier"' if mark == "=" else '"TextTier"', f'"{name}"', "0", "2",
                str(len(rows))]  # fmt: skip
        out += [value for *times, text in rows for value in (*times, '"' + text + '"')]
    if short:
        return "\n".join(out) + "\n"
    return "\n".join(f"item [{k}]: x = {value} " for k, value in enumerate(out))


TIERS = 'phones=0,1,a;words=0,0.5,|0.5,0.8,one|0.8,1,sil|1,1.5,two;bell@1.2,"" 9 ""'


@pytest.mark.parametrize("short", [False, True])
def test_textgrids(tmp_path: Path, short: bool) -> None:
    path = written(tmp_path / "a.TextGrid", textgrid(short, TIERS), "utf-16")
    assert words_in(path) == WANTED
    assert words_in(path, tier="phones") == [("a", 0, 1)]
    with pytest.raises(DataError, match="phones, words"):
        words_in(path, tier="bell")
    path = written(tmp_path / "a.TextGrid", textgrid(short, "ORT=0.5,0.8,one|1,1.5,two"))
    assert words_in(path) == WANTED
    path = written(tmp_path / "a.TextGrid", textgrid(short, 'words=0,1,""3 x""! 4'))
    assert [word for word, _, _ in words_in(path)] == ['"3', 'x"!', "4"]
    # An aligner of several speakers has tiers for each.
    several = "Ann - words=0.5,0.8,one;Ann - phones=0,1,a;Bob - words=1,1.5,two"
    assert words_in(written(tmp_path / "a.TextGrid", textgrid(short, several))) == WANTED
    for damaged in ("a=0,1,x;b=1,2,y", TIERS):
        text = textgrid(short, damaged)
        path = written(tmp_path / "a.TextGrid", text[:-30] if damaged == TIERS else text)
        with pytest.raises(DataError, match=r"a\.TextGrid"):
            words_in(path)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.csv", "start,word\n1,x\n", "start, word"),
        ("a.csv", "start,end\n1,2\n", "start, end"),
        ("a.csv", "start,end,word\nx,2,a\n", "line 2"),
        ("a.tsv", "start\tend\ttext\n0\t90000\ta\n90000\t200000\tb\n", "start_ms"),
        ("a.vtt", "hello there\n", "-->"),
        ("a.vtt", "WEBVTT\n\n00:00:xx --> 00:01.000\na\n", "line 3"),
        ("a.TextGrid", "WEBVTT\n", "TextGrid"),
        ("a.TextGrid", 'File type = "ooTextFile"\nObject class = "Sound"\n', "TextGrid"),
        ("a.csv", "start,end,word,file\n1,2,a,b\n3,4,c,\n", "line 3"),
        ("a.csv", 'start,end,text\n0,1,a\n1,2,"I said\n2,3,go\n3,4,now"\n', "line 3"),
        ("a.tsv", 'start_ms\tend_ms\ttext\n0\t900\t"Go\n900\t1800\tnow"\n', "line 2"),
    ],
)
def test_damaged_transcripts_say_where(tmp_path: Path, name: str, text: str, match: str) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(DataError, match=match):
        found = reading.find(path)
        found.of(found.names()[0])


def test_texts_of_other_encodings_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\ncafé\n", "cp1252")
    with pytest.raises(DataError, match="café"):
        words_in(path)
    for wrong in (b"ooBinaryFile\x08TextGrid", b"PK\x03\x04\0\0"):
        (tmp_path / "a.TextGrid").write_bytes(wrong)
        with pytest.raises(DataError, match=r"a\.TextGrid"):
            words_in(tmp_path / "a.TextGrid")


@pytest.mark.parametrize("name", ["a.csv", "a.vtt", "a.srt", "a.TextGrid"])
@pytest.mark.parametrize("text", ["", "\ufeff", "\n \n"])
def test_an_empty_file_has_no_words(tmp_path: Path, name: str, text: str) -> None:
    assert words_in(written(tmp_path / name, text)) == []


def test_unusable_cues_are_counted_and_the_others_sorted() -> None:
    nan = float("nan")
    cues = [Cue("last one", 5, 7, 2), Cue("a", -1, 1, 3), Cue("b", 2, 1, 4), Cue("c", nan, 1, 5),
            Cue("d", 1, None, 6), Cue(" ", 9, 8, 7), Cue("first", 1, 1, 8), Cue("over", 0.5, 6, 9),
            Cue("e", 3, -3, 10)]  # fmt: skip
    found = transcript_of(Path("x"), cues)
    assert found.words == ["over", "first", "last", "one"]
    # A cue's words share its time by their characters.
    np.testing.assert_allclose(found.starts, [0.5, 1, 5, 5 + 2 * 4 / 7])
    np.testing.assert_allclose(found.ends, [6, 1, 5 + 2 * 4 / 7, 7])
    assert sorted(map(tuple, found.unusable.values())) == [(3,), (4, 10), (5,), (6,)]
    assert found.unordered == 2


def spoken_naively(found: Transcript, low: float, high: float) -> str:
    """A word counts if it has a moment in common with the window; both begin with their first
    moment and end before their last, unless they have one alone."""
    said = []
    for word, start, end in zip(found.words, found.starts, found.ends):
        if start == end and low == high:
            there = start == low
        elif start == end:
            there = low <= start < high
        elif low == high:
            there = start <= low < end
        else:
            there = max(start, low) < min(end, high)
        if there:
            said.append(word)
    return " ".join(said)


def said_in(found: Transcript, low: float, high: float) -> str:
    return " ".join(found.words[place] for place in found.spoken(low, high).tolist())


def test_words_of_windows_are_those_of_a_naive_loop() -> None:
    random = np.random.default_rng(0)
    starts = np.sort(random.integers(0, 40, 60)) / 4
    # Words overlap, are as long as others, and some have no length.
    ends = starts + random.integers(0, 9, 60) / 4
    found = Transcript([f"w{k}" for k in range(60)], starts, ends)
    said = 0
    for low in np.arange(-1, 13, 0.125):
        for length in (0.0, 0.125, 0.25, 4.0):
            expected = spoken_naively(found, low, low + length)
            assert said_in(found, low, low + length) == expected
            said += bool(expected)
    assert said > 200
    moment = Transcript(["now"], np.ones(1), np.ones(1))
    windows = ((0, 1), (1, 1), (1, 2), (1.5, 2))
    assert [said_in(moment, *window) for window in windows] == ["", "now", "now", ""]
    empty = Transcript([], np.zeros(0), np.zeros(0))
    assert said_in(empty, 0, 5) == ""


def test_transcripts_are_found_by_name(tmp_path: Path) -> None:
    table = "file,start,end,word\nv/one.mp4,0,1,a\ntwo,1,2,b\none,2,3,c\n"
    found = reading.find(written(tmp_path / "all.csv", table))
    assert found.names() == ["one", "two"] and not found.unnamed
    assert found.of("one").words == ["a", "c"] and found.of("two").words == ["b"]
    alone = reading.find(written(tmp_path / "three.csv", "start,end,word\n0,1,a\n"))
    assert alone.names() == ["three"] and alone.unnamed
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    written(folder / "one.vtt", "WEBVTT\n")
    # The column of recordings of a file in a folder says nothing new.
    written(folder / "sub" / "two.csv", table)
    written(folder / "readme.txt", "no transcript")
    found = reading.find(folder)
    assert found.names() == ["one", "two"] and found.of("two").words == ["a", "b", "c"]
    before = found.content_id
    written(folder / "one.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\na\n")
    assert reading.find(folder).content_id != before
    written(folder / "one.srt", "")
    with pytest.raises(DataError, match=r"one\.srt"):
        reading.find(folder)
    (folder / "one.srt").unlink()
    written(folder / "sub" / "one.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nb\n")
    found = reading.find(folder)
    assert found.names() == ["one", "sub/one", "two"] and found.of("sub/one").words == ["b"]
    for path, error in (("no", DataError), ("folder/readme.txt", DataError)):
        with pytest.raises(error):
            reading.find(tmp_path / path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        reading.find(tmp_path / "empty")
    with pytest.raises(UsageError):
        reading.find(tmp_path / "all.csv", "words")
