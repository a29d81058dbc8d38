"""Tables as other programs spell them: numbers, times, encodings, names, and what is said of them.

The spellings that must read alike are in tests/cases/tables.py.
"""

from __future__ import annotations

import math
import unicodedata
from pathlib import Path

import pytest
from corpus_folders import Spoken, made, touch

from avaffect.core.errors import DataError
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.tables import spellings
from avaffect.data.tables.numerals import Numbers
from avaffect.data.tables.reader import read_rows, read_table, unique_names
from avaffect.recipes.downstream.labelled_data import labelled_utterances
from avaffect.recipes.merge import merge
from avaffect.settings.class_map import ClassMap
from avaffect.settings.merge import MergeSettings

NAN = math.nan


def written(texts: list[str], delimiter: str = ",", others: list[str] | None = None) -> list:
    return Numbers([texts, others or []], delimiter).of(texts)


@pytest.mark.parametrize(
    ("texts", "delimiter", "others", "right"),
    [
        (["0.5", "-1e-3", ".5", "3"], ",", None, [0.5, -0.001, 0.5, 3.0]),
        (["0,5", "1,25", "-,5"], ",", None, [0.5, 1.25, -0.5]),
        (["\u22120,5"], ";", None, [-0.5]),
        (["1\u202f234,5", "0,5"], ";", None, [1234.5, 0.5]),
        (["", "NaN", "?", "None", "NaT", "<NA>"], ",", None, [NAN] * 6),
        (["1,234", "0,5"], ",", None, [1.234, 0.5]),
        (["1,234", "0.5"], ";", None, [1234.0, 0.5]),
        (["1,234"], ";", None, [1.234]),
        (["1,234"], ",", ["0,5"], [1.234]),
        (["1,234"], ",", ["0.5"], [1234.0]),
        (["1,234,567", "1,234.5", "1.234,5"], ";", None, [1234567.0, 1234.5, 1234.5]),
        # May be two numbers.
        (["1,234"], ",", None, [None]),
        (["1,234", "0,5", "0.5"], ";", None, [None, 0.5, 0.5]),
        (["1.234", "0,5"], ";", None, [None, 0.5]),
        (["0,5,6", "high", "1e39", "inf"], ";", None, [None] * 4),
    ],
)
def test_numbers(texts, delimiter, others, right):
    found = written(texts, delimiter, others)
    assert found == pytest.approx(right, nan_ok=True) if None not in right else found == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1.9", 1.9),
        ("0 days 00:00:01.9", 1.9),
        ("0 days 00:00:01.898250", 1.89825),
        ("0 days", 0.0),
        ("1 day, 0:00:02", 86402.0),
        ("1 days 00:00:00.000000001", 86400.000000001),
        ("-1 days +23:59:59", -1.0),
        ("-00:00:01", -1.0),
        ("00:01:02,5", 62.5),
        ("1:02", 62.0),
        ("1900 ms", 1.9),
        ("1.5s", 1.5),
        ("1900000000 nanoseconds", 1.9),
        ("P0DT0H0M1.9S", 1.9),
        ("NaT", NAN),
        ("", NAN),
        ("PT", None),
        ("soon", None),
        ("1:2:3:4", None),
        ("5 parsecs", None),
    ],
)
def test_times(text, right):
    (found,) = Numbers([[text]], ",").times([text])
    assert found is None if right is None else found == pytest.approx(right, nan_ok=True)


def test_a_column_of_pandas_timedeltas():
    pandas = pytest.importorskip("pandas")
    seconds = [0.0, 0.9, 1.89825, 3661.000001, 90061.5]
    texts = [str(t) for t in pandas.to_timedelta(seconds, unit="s")] + [str(pandas.NaT)]
    found = Numbers([texts], ",").times(texts)
    assert found == pytest.approx([*seconds, NAN], nan_ok=True)


NO_TEXT = {
    "Latin-1": ("file,emotion\na.wav,fröhlich\n".encode("latin-1"), r"line 2 .*'fröhlich'.*CP1252"),
    "half of UTF-16": ("\ufefffile\n".encode("utf-16-le")[:-1], "truncated or damaged UTF-16-LE"),
    "UTF-16 of no Latin": ("文件,情\n一,二\n".encode("utf-16-le"), "UTF-16"),
    "xlsx": (b"PK\x03\x04\x14\x00", "a spreadsheet or a zip file; save"),
    "gzip": (b"\x1f\x8b\x08\x00", "gunzip"),
    "zeros": (b"file,emotion\na\x00.wav,joy\n", "zero bytes"),
}


@pytest.mark.parametrize(("data", "words"), NO_TEXT.values(), ids=NO_TEXT)
def test_what_is_no_text_is_said(data, words, tmp_path):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "t.csv", ["file"])


def test_the_advice_for_western_windows_restores_the_table(tmp_path):
    text = "file,emotion\na.wav,fröhlich – „gut“\n"
    (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match="iconv -f CP1252 -t UTF-8"):
        read_table(tmp_path / "t.csv", ["file"])
    # As iconv does.
    (tmp_path / "new.csv").write_text((tmp_path / "t.csv").read_text("cp1252"), encoding="utf-8")
    rows = list(read_rows(tmp_path / "new.csv", ["emotion"]))
    assert rows == [(2, {"emotion": "fröhlich – „gut“"})]


def rows(folder: Path, text: str, *columns: str) -> list[list[str]]:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return [list(row.values()) for _, row in read_rows(folder / "t.csv", columns)]


def test_lines_between_rows_are_no_rows_and_within_a_field_they_are(tmp_path):
    text = 'a,b\n\n# note, with "quotes\n1,"two\n# lines\n\nthree"\n,,\n2,\'tis\n'
    assert rows(tmp_path, text, "a", "b") == [["1", "two\n# lines\n\nthree"], ["2", "'tis"]]
    found = read_table(tmp_path / "t.csv", ["a"])
    assert [line for line, _ in found.rows] == [4, 9] and found.comments == (3,)


def test_a_separator_is_named_after_comments_and_before_them(tmp_path):
    for text in ("# x, y\nsep=;\n\na;b\n1;2\n", "sep=;\n# x, y\na;b\n1;2\n"):
        assert rows(tmp_path, text, "a", "b") == [["1", "2"]]


def test_columns_in_another_form_of_unicode(tmp_path):
    name = "gefühl"
    text = f"file,{name}\nwav/a.wav,joy\n"
    for column in (name, unicodedata.normalize("NFD", name)):
        found, _ = manifest_of(tmp_path, text, label=(f"emotion={column}",), speaker=column,
                               force=True)  # fmt: skip
        assert found.items[0]["speaker"] == found.items[0]["labels"]["emotion"] == "joy"


def test_more_fields_than_columns_are_an_error_unless_empty(tmp_path):
    assert rows(tmp_path, "a;b\n1;2;;\n", "a", "b") == [["1", "2"]]
    with pytest.raises(DataError, match=r"line 2: 3 fields.* 2 column"):
        rows(tmp_path, "a;b\n1;2;3\n", "a")


def test_blanks_separate_where_nothing_else_does(tmp_path):
    assert rows(tmp_path, "file emotion\na.wav  joy\n", "file", "emotion") == [["a.wav", "joy"]]


def test_a_mark_within_quotes_separates_nothing(tmp_path):
    (tmp_path / "t.csv").write_text('a,"b;c",d\n1,2,3\n')
    assert read_table(tmp_path / "t.csv").names == ["a", "b;c", "d"]


def test_numpy_writes_names_behind_a_sign(tmp_path):
    (tmp_path / "t.txt").write_text("# time arousal\n0.0 0.1\n0.1 0.2\n")
    found = read_table(tmp_path / "t.txt", blanks=True)
    assert found.names == ["time", "arousal"] and len(found.rows) == 2
    (tmp_path / "t.txt").write_text("# by hand\ntime,arousal\n0,1\n")
    assert read_table(tmp_path / "t.txt", blanks=True).names == ["time", "arousal"]


def test_names_of_parts():
    names = ["a", "a", "b", "a"]
    times = [(0.0, 0.9), (0.9, None), (3.0, 4.0), (None, 0.5)]
    assert unique_names(names, times) == ["a_0-0.9", "a_0.9-end", "b", "a_0-0.5"]
    assert unique_names(["a", "a"], [(None, None)] * 2) == ["a", "a"]


def manifest_of(folder: Path, text: str, **options):
    touch(folder, "wav/a.wav", "wav/b.wav", "wav/c.wav")
    (folder / "t.csv").write_text(text, encoding="utf-8")
    options = {"media_column": "file", "label": ("emotion",), **options}
    return made(folder / "m.jsonl", "table", folder / "t.csv", **options)


def test_parts_of_a_recording_need_times_or_ids(tmp_path):
    text = "file,emotion,start\nwav/a.wav,joy,0\nwav/a.wav,joy,1\n"
    with pytest.raises(DataError, match=r"lines 2 and 3 have the same id a.*--start and --end"):
        manifest_of(tmp_path, text)
    found, _ = manifest_of(tmp_path, text, start="start", prefix="x")
    assert [item["id"] for item in found.items] == ["x_a_0-end", "x_a_1-end"]
    with pytest.raises(DataError, match="lines 2 and 3 have the same id a_0-end"):
        manifest_of(tmp_path, text.replace("joy,1", "joy,0"), start="start", force=True)
    with pytest.raises(DataError, match="without --id, parts of one recording"):
        manifest_of(tmp_path, text, start="start", id_column="file", force=True)


def test_unknown_splits_are_refused_with_the_option_that_helps(tmp_path):
    text = "file,emotion,s\nwav/a.wav,joy,Test1\nwav/b.wav,joy,Test2\nwav/c.wav,joy,pool B\n"
    with pytest.raises(DataError) as found:
        manifest_of(tmp_path, text, split="s")
    said = "--map Test1=test --map Test2=test --map 'pool B'=SPLIT"
    assert said in str(found.value)
    text = text.replace("pool B", "-")
    with pytest.raises(DataError, match="holds Test1, Test2: "):
        manifest_of(tmp_path, text, split="s")
    maps = ("Test1=test", "Test2=dev", "-=")
    made_so, _ = manifest_of(tmp_path, text, split="s", map=maps)
    assert [item.get("split") for item in made_so.items] == ["test", "development", None]


def test_splits_that_leave_no_doubt():
    names = ["Train", "TRAINING", "dev", "Devel", "val", "Validation", "test", "Test_Set", "eval"]
    assert spellings.splits_of(names) == {
        "Train": "train", "TRAINING": "train", "dev": "development", "Devel": "development",
        "val": "development", "Validation": "development", "test": "test", "Test_Set": "test",
    }  # fmt: skip
    assert spellings.splits_of(["Train", "Test1"])["Test1"] == "test"
    assert "Test1" not in spellings.splits_of(["Test", "Test1"])


def test_classes_that_look_alike_are_named_with_the_option_that_helps(tmp_path):
    text = "file,emotion\nwav/a.wav,Angry\nwav/b.wav,angry\nwav/c.wav,ANGRY\n"
    found, said = manifest_of(tmp_path, text)
    assert found.header.to_dict()["labels"]["emotion"]["classes"] == ["ANGRY", "Angry", "angry"]
    hint = "--map ANGRY=anger --map Angry=anger --map angry=anger"
    assert "emotion: ANGRY, Angry, angry are 3 classes" in said
    assert f"{hint} makes them one" in said
    found, said = manifest_of(
        tmp_path, text, map=("ANGRY=anger", "Angry=anger", "angry=anger"), force=True
    )
    assert (
        found.header.to_dict()["labels"]["emotion"]["classes"] == ["anger"] and "alike" not in said
    )
    _, said = manifest_of(tmp_path, text, label=("mood=emotion",), force=True)
    assert "mood: ANGRY, Angry, angry are 3 classes" in said


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ([f"{n / 7:.3f}" for n in range(21)], True), ([f'"{n},5"' for n in range(21)], True),
        ([str(n) for n in range(20)], False), ([*map(str, range(30)), "other"], False),
    ],
)  # fmt: skip
def test_classes_that_are_a_scale_are_named(tmp_path, values, warned):
    lines = ["file,name,emotion", *(f"wav/a.wav,u{n},{v}" for n, v in enumerate(values))]
    found, said = manifest_of(
        tmp_path, "\n".join(lines) + "\n", label=("a=emotion",), id_column="name"
    )
    assert found.header.to_dict()["labels"]["a"]["kind"] == "class"
    assert ("--scalar" in said) == warned


def test_classes_that_look_alike_are_named_where_corpora_meet(tmp_path):
    paths = []
    for name, text in (("a", "Very Good"), ("b", "very-good")):
        touch(tmp_path, f"wav/{name}.wav")
        (tmp_path / f"{name}.csv").write_text(f"file,m\nwav/{name}.wav,{text}\n")
        paths.append(tmp_path / f"{name}.jsonl")
        made(paths[-1], "table", tmp_path / f"{name}.csv", media_column="file", label=("m",))
    said = Spoken()
    merge(MergeSettings(stores=tuple(paths), output=tmp_path / "all.jsonl"), said)
    assert "m: Very Good, very-good are 2 classes" in said.text
    assert "--classes 'very-good=Very Good+very-good' makes them one" in said.text


def test_classes_that_look_alike_are_named_before_training(tmp_path):
    classes = ("Angry", "angry", "joy")
    with store_writer(tmp_path / "s.h5", {}, labels={"m": LabelSpec("class", classes)}) as writer:
        for name in classes:
            writer.add(f"id_{name}", labels={"m": name})
    store = Store(tmp_path / "s.h5")
    said = Spoken()
    labelled_utterances([store], "m", ClassMap(), Annotations({}), said)
    assert "m: Angry, angry are 2 classes" in said.text
    assert "--classes angry=Angry+angry,joy makes them one" in said.text
    said = Spoken()
    merged = ClassMap.parse("angry=Angry+angry,joy")
    labelled_utterances([store], "m", merged, Annotations({}), said)
    assert said.text == ""


def test_an_emotion_in_another_case_is_that_emotion(tmp_path):
    text = "file,emotion\nwav/a.wav,Anger\nwav/b.wav,anger\nwav/c.wav,Joy\n"
    found, said = manifest_of(tmp_path, text)
    assert [item["labels"]["emotion"] for item in found.items] == ["anger", "anger", "Joy"]
    assert "emotion: 1: Anger is anger" in said and "--map Joy=happiness" in said
    found, _ = manifest_of(tmp_path, text, map=("Anger=Anger",), force=True)
    assert found.items[0]["labels"]["emotion"] == "Anger"
    found, _ = manifest_of(tmp_path, text, map=("Joy=",), force=True)
    assert found.items[2]["labels"] == {}


def test_classes_in_two_forms_of_unicode_are_one(tmp_path):
    name = "Überraschung"
    text = f"file,emotion\nwav/a.wav,{name}\nwav/b.wav,{unicodedata.normalize('NFD', name)}\n"
    found, _ = manifest_of(tmp_path, text)
    assert found.header.to_dict()["labels"]["emotion"]["classes"] == [name]


def test_recordings_elsewhere_and_in_another_case(tmp_path, monkeypatch):
    touch(tmp_path / "here", "wav/a.wav")
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "lists" / "t.csv"
    path.write_text("file,emotion\nwav/a.wav,joy\n")
    options = {"media_column": "file", "label": ("emotion",)}
    with pytest.raises(DataError, match=r"wav/a\.wav is in the current folder: use --root \."):
        made(tmp_path / "m.jsonl", "table", path, **options)
    found, _ = made(tmp_path / "m.jsonl", "table", path, **options, root=Path("."))
    assert found.items[0]["media"] == "wav/a.wav"

    path.write_text("file,emotion\nC:\\data\\wav\\a.wav,joy\n")
    with pytest.raises(DataError, match=r"wav/a.wav exists: remove C:\\data\\ from"):
        made(tmp_path / "n.jsonl", "table", path, **options, root=Path("."))

    path.write_text("file,emotion\nWAV/A.wav,joy\n")
    _, said = made(tmp_path / "m.jsonl", "table", path, **options, root=Path("."), force=True)
    assert "spelled in another case than the recordings: 1: wav/a.wav" in said
    touch(tmp_path / "here", "wav/A.WAV")
    with pytest.raises(DataError, match=r"the recording is not there.*--no-check-media"):
        made(tmp_path / "n.jsonl", "table", path, **options, root=Path("."))


def test_what_is_lost_is_named_with_its_text(tmp_path):
    text = "file,emotion,start,v\nwav/a.wav,joy,soon,1\nwav/b.wav,joy,1,high\nwav/c.wav,joy,2,3\n"
    found, said = manifest_of(tmp_path, text, start="start", scalar=("v",))
    assert [item["id"] for item in found.items] == ["b", "c"]
    assert "start or end is no time in seconds: 1: line 2 (soon)" in said
    assert "v is not a number (kept without it): 1: line 3 (high)" in said
    with pytest.raises(DataError, match=r"no row has a number for v, from line 2 \(1,898\) on"):
        manifest_of(tmp_path, 'file,emotion,v\nwav/a.wav,joy,"1,898"\n', scalar=("v",), force=True)


def test_comments_are_counted(tmp_path):
    _, said = manifest_of(tmp_path, "file,emotion\n#wav/b.wav,joy\nwav/a.wav,joy\n")
    assert "left out, commented out with #: 1: line 2" in said


def test_recordings_and_folders_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0")
    with pytest.raises(DataError, match=r"a\.csv is a recording"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(DataError, match="a folder; name a table in it"):
        read_table(tmp_path)
