"""Trace files as corpora publish them, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avaffect.core.errors import DataError
from avaffect.data.trace_files import find_trace_files, read_trace_file

SEWA = """name;timestamp;arousal;valence
'Devel_DE_01';0.000000;0.5;-0.25
'Devel_DE_01';0.100000;0.75;
"""
ARFF = """% a comment
@relation 'gold standard'

@attribute Instance_name string
@ATTRIBUTE 'frameTime' numeric
@attribute\tGoldStandard\tREAL

@data
% another
'dev_1',0.00,-0.5
'dev_1',0.04,?

'dev_1',0.08,1e-1
"""


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_sewa_by_hand(tmp_path: Path) -> None:
    found = read_trace_file(write(tmp_path, SEWA))
    assert (found.name, found.rate_hz, list(found.columns)) == (
        "Devel_DE_01", 10.0, ["arousal", "valence"],
    )  # fmt: skip
    np.testing.assert_array_equal(found.times, [0.0, 0.1])
    np.testing.assert_array_equal(found.columns["arousal"], [0.5, 0.75])
    np.testing.assert_array_equal(found.columns["valence"], [-0.25, np.nan])
    assert found.times.dtype == found.columns["valence"].dtype == np.float64


def test_arff_by_hand(tmp_path: Path) -> None:
    found = read_trace_file(write(tmp_path, ARFF, "dev_1.arff"))
    assert (found.name, found.rate_hz, list(found.columns)) == ("dev_1", 25.0, ["GoldStandard"])
    np.testing.assert_array_equal(found.times, [0, 0.04, 0.08])
    np.testing.assert_array_equal(found.columns["GoldStandard"], [-0.5, np.nan, 0.1])


SPELLINGS = {
    "commas": 'time,arousal,valence\n0,0.5,1\n0.04,NaN,-1e-1\n',
    "tabs": "frameTime\tarousal\tvalence\n0\t.5\t1\n0.04\t\t-0.1\n",
    "blanks": "Timestamp  arousal valence\n 0   0.5 1\n0.04 nan  -.1 \n",
    "decimal commas": "time_s;arousal;valence\n0;0,5;1\n0,04;?;-0,1\n",
    "blanks around names": "time;arousal ;valence \r\n0;0.5;1\r\n\r\n0.04;NA;-0.1\r\n",
    "time last, quotes": '"arousal","valence","Time (s)"\n"0.5","1","0"\n"","-0.1","0.04"\n',
    "an index without a name": ",time,arousal,valence\n0,0,0.5,1\n1,0.04,,-0.1\n",
    "a separator at the end": "time;arousal;valence;\n0;0.5;1;\n0.04;;-0.1;\n",
    "text first": "clip,time,arousal,valence\nx,0,0.5,1\nx,0.04,,-0.1\n",
    "sep= and a bar": "sep=|\ntime|arousal|valence\n0|0,5|1\n0,04||-0,1\n",
    "pandas' times": "time,arousal,valence\n0 days,0.5,1\n0 days 00:00:00.04,,-0.1\n",
    "decimal commas in quotes": 'time,arousal,valence\n0,"0,5",1\n"0,04",NA,"-0,1"\n',
    "comments and blank lines": "\n# by hand\n\ntime,arousal,valence\n0,.5,1\n# x\n.04,,-.1\n",
    "a byte order mark": "\ufefftime,arousal,valence\n0,0.5,1\n0.04,,-0.1\n",
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_one_table(text: str, tmp_path: Path) -> None:
    found = read_trace_file(write(tmp_path, text))
    np.testing.assert_array_equal(found.times, [0, 0.04])
    assert list(found.columns) == ["arousal", "valence"]
    np.testing.assert_array_equal(found.columns["arousal"], [0.5, np.nan])
    np.testing.assert_array_equal(found.columns["valence"], [1, -0.1])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_encodings_of_one_table(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(SPELLINGS["decimal commas"].encode(encoding))
    np.testing.assert_array_equal(read_trace_file(tmp_path / "a.csv").times, [0, 0.04])


def test_files_without_names_or_times(tmp_path: Path) -> None:
    path = write(tmp_path, "0.00 0.1\n0.02 0.2\n", "A.txt")
    found = read_trace_file(path, names=("time", "arousal"))
    np.testing.assert_array_equal(found.columns["arousal"], [0.1, 0.2])
    assert found.rate_hz == 50
    path = write(tmp_path, "0,00;0,1\n0,02;0,2\n", "B.txt")
    found = read_trace_file(path, names=("time", "arousal"))
    np.testing.assert_array_equal(found.columns["arousal"], [0.1, 0.2])
    path = write(tmp_path, "valence,arousal\n0.1,0.5\n-0.2,0.6\n", "frames.txt")
    found = read_trace_file(path, rate_hz=30)
    np.testing.assert_allclose(found.times, [0, 1 / 30])
    assert list(found.columns) == ["valence", "arousal"]


def test_rates(tmp_path: Path) -> None:
    def rate(times: list[float]) -> float | None:
        rows = "".join(f"{time},0\n" for time in times)
        return read_trace_file(write(tmp_path, "time,a\n" + rows)).rate_hz

    # 30 frames a second, rounded to milliseconds, from any start on.
    assert rate([round(2 + k / 30, 3) for k in range(100)]) == pytest.approx(30, abs=0.01)
    assert rate([0, 0.1, 0.3]) is None
    assert rate([0.5]) is None


REFUSED = {
    "empty": ("", "is empty"),
    "no rows": ("time,a\n", "no values"),
    "no header": ("0,1\n1,2\n", "column names"),
    "no times": ("frame,a\n0,1\n", r"no column of times.*frame, a"),
    "no values": ("name,time\nx,0\n", "no column of values"),
    "text": ("time,a\n0,1\n1,high\n", "line 3: a is 'high'"),
    "infinite": ("time,a\n0,inf\n", "line 2: a is 'inf'"),
    "backwards": ("time,a\n0,1\n\n2,1\n1,1\n", "line 5: the time 1 is not after 2"),
    "twice": ("time,a\n0,1\n0,1\n", "line 3"),
    "time missing": ("time,a\n0,1\n,1\n", "line 3: the time is missing"),
    "cut short": ("time,a,b\n0,1,2\n1,2\n", "line 3: 2 fields, but 3 columns"),
    "two names": ("time,a,a\n0,1,2\n", "two columns called 'a'"),
    "two recordings": ("name,time,a\nx,0,1\ny,1,1\n", "line 3: name is 'y' after 'x'"),
    "quote": ('time,a\n0,"1\n1,2\n', "not a table"),
}


ARFF_REFUSED = {
    "no data": ("@relation x\n@attribute time numeric\n", "no @data"),
    "no attributes": ("@relation x\n@data\n1\n", "no @attribute"),
    "csv": ("time,a\n0,1\n", "line 1: not ARFF"),
    "no type": ("@attribute time\n@data\n1\n", "line 1: an attribute needs"),
    "sparse": (
        "@attribute time real\n@attribute a real\n@data\n{0 1, 1 2}\n",
        "line 4: .*not a num",
    ),
    "fields": ("@attribute time real\n@attribute a real\n@data\n1\n", "line 4: 1 field"),
}


@pytest.mark.parametrize(
    "name, text, words",
    [
        *(("a.csv", *row) for row in REFUSED.values()),
        *(("a.arff", *row) for row in ARFF_REFUSED.values()),
    ],
    ids=[*REFUSED, *(f"ARFF: {name}" for name in ARFF_REFUSED)],
)
def test_damage_is_named(name: str, text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(DataError, match=words) as found:
        read_trace_file(path)
    assert str(path) in str(found.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_trace_file(tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes("time,gefühl\n0,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_trace_file(tmp_path / "latin.csv")


def test_a_folder_of_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trace files"):
        find_trace_files(tmp_path)
    for name in ("b.csv", "a.ARFF", ".hidden.csv", "notes.md"):
        write(tmp_path, "x", name)
    assert list(find_trace_files(tmp_path)) == ["a", "b"]
    write(tmp_path, "x", "b.txt")
    with pytest.raises(DataError, match="same name"):
        find_trace_files(tmp_path)


def test_the_published_sewa_files(recordings: Path) -> None:
    folder = recordings / "labels" / "sewa_devel"
    for kind in ("gold", "baseline_egemaps"):
        files = find_trace_files(folder / kind)
        assert len(files) == 14
        for name, path in files.items():
            found = read_trace_file(path)
            assert (found.name, found.rate_hz) == (name, 10.0)
            assert list(found.columns) == ["arousal", "valence", "liking"]
    last = read_trace_file(folder / "gold" / "Devel_DE_01.csv")
    assert last.times[-1] == 174.1 and last.columns["liking"][-1] == 0.034397
