"""Labels over time from anybody's table, from SEMAINE and from Aff-Wild2, on copies of layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from chain import invoke
from corpus_folders import by_id, made, touch
from films import write_video
from trace_sources import write_table

from avaffect.core.errors import DataError, UsageError
from avaffect.data.store.reader import Store

NAN = float("nan")

# -- anybody's table ------------------------------------------------------------------------------

TABLE = "path,who,rated,start,end\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Two recordings; a file of arousal and valence, and one with a single, unnamed label."""
    folder = touch(tmp_path / "mine", "a.wav", "b.wav")
    write_table(folder / "a.csv", {"arousal": np.arange(5) / 10, "valence": np.array([0.5] * 5)})
    write_table(folder / "b.csv", {"rating": np.array([0.1, NAN, 0.3])})
    return folder


def traced(folder: Path, rows: str, **options) -> tuple[dict[str, dict], str, dict]:
    (folder / "t.csv").write_text(TABLE + rows)
    options = {"media_column": "path", "trace": ("arousal=rated",), **options}
    found, said = made(folder / "m.jsonl", "table", folder / "t.csv", **options)
    return by_id(found), said, found.header.to_dict()


def test_a_column_of_trace_files(mine: Path):
    items, said, header = traced(
        mine, "a.wav,x,a.csv,,\nb.wav,y,b.csv,,\n", trace=("arousal=rated",), speaker="who"
    )
    assert header["labels"] == {"arousal": {"kind": "trace", "rate_hz": 10.0}}
    assert items["a"]["labels"] == {"arousal": [0.0, 0.1, 0.2, 0.3, 0.4]}
    # One column of values is the label, whatever it is called.
    assert items["b"]["labels"] == {"arousal": [0.1, None, 0.3]}
    inputs = header["provenance"]["inputs"]
    assert [given["role"] for given in inputs] == ["corpus", "table", "table", "table"]
    assert "lost" not in said


def test_two_labels_of_one_file(mine: Path):
    items, _, header = traced(
        mine, "a.wav,x,a.csv,,\nb.wav,y,,,\n", trace=("arousal=rated", "valence=rated")
    )
    assert items["a"]["labels"] == {"arousal": [0.0, 0.1, 0.2, 0.3, 0.4], "valence": [0.5] * 5}
    assert items["b"]["labels"] == {} and len(header["provenance"]["inputs"]) == 3


def test_traces_of_parts_of_a_recording(mine: Path):
    """Times are those of the recording; labels begin with the utterance."""
    rows = "a.wav,x,a.csv,0.1,0.3\nb.wav,x,a.csv,7,9\n"
    items, said, _ = traced(mine, rows, start="start", end="end")
    assert items["a"]["labels"] == {"arousal": [0.1, 0.2]}
    assert "no value of arousal between start and end (kept without it): 1: line 3" in said
    assert items["b"]["labels"] == {}


def test_files_that_are_missing_or_wrong(mine: Path):
    items, said, _ = traced(mine, "a.wav,x,a.csv,,\nb.wav,y,gone.csv,,\n")
    assert "the file of arousal is not there (kept without it): 1: line 3" in said
    assert items["b"]["labels"] == {}
    with pytest.raises(DataError, match=r"a\.csv has no column 'dominance' \(it has: arousal, val"):
        traced(mine, "a.wav,x,a.csv,,\n", trace=("dominance=rated",))
    (mine / "b.csv").write_text("time;arousal\n0.0;high\n")
    with pytest.raises(DataError, match=r"b\.csv, line 2: arousal is 'high'"):
        traced(mine, "b.wav,y,b.csv,,\n")
    with pytest.raises(UsageError, match="'arousal' is given as --scalar and as --trace"):
        traced(mine, "a.wav,x,a.csv,,\n", scalar=("arousal=rated",))
    with pytest.raises(DataError, match="has no column 'ratings'"):
        traced(mine, "a.wav,x,a.csv,,\n", trace=("arousal=ratings",))


def test_a_gap_hides_no_rate(mine: Path):
    times = np.delete(np.arange(30) / 10, slice(10, 20))
    rows = "".join(f"{time:.1f};{time:.1f}\n" for time in times)
    (mine / "a.csv").write_text("time;arousal\n" + rows)
    (mine / "b.csv").write_text("time;arousal\n0.0;\n0.1;nan\n")
    items, said, header = traced(mine, "a.wav,x,a.csv,,\nb.wav,y,b.csv,,\n")
    assert header["labels"]["arousal"]["rate_hz"] == 10.0
    values = items["a"]["labels"]["arousal"]
    assert values == [*np.arange(10) / 10, *[None] * 10, *np.arange(20, 30) / 10]
    assert "times of arousal have gaps (nothing is known there): 1: a" in said
    assert "interpolated" not in said
    assert items["b"]["labels"] == {}
    assert "no value of arousal is known (kept without it): 1: b" in said


def test_traces_reach_the_store(mine: Path):
    soundfile.write(mine / "a.wav", np.zeros(16000) + 0.01 * np.sin(np.arange(16000)), 16000)
    (mine / "t.csv").write_text(TABLE + "a.wav,x,a.csv,,\n")
    invoke(mine, "manifest", "table", "t.csv", "--media", "path", "--trace", "valence=rated",
           "-o", "m.jsonl")  # fmt: skip
    invoke(mine, "preprocess", "m.jsonl", "-o", "m.h5", "-j", 1)
    np.testing.assert_array_equal(Store(mine / "m.h5").trace("valence", 0), [0.5] * 5)


# -- SEMAINE --------------------------------------------------------------------------------------

STAMP = "2008.12.05.16.03.15"
CONVERSATION = (
    f"Sessions/2/{STAMP}_User HeadMounted_Poppy.wav",
    f"Sessions/2/{STAMP}_User Frontal_C_Poppy.avi",
    f"Sessions/2/{STAMP}_User Frontal_BW_Poppy.avi",
    f"Sessions/2/{STAMP}_User_AV_lowQ_Poppy.avi",
    f"Sessions/2/{STAMP}_User Array_Poppy.wav",
    f"Sessions/2/{STAMP}_Operator HeadMounted_Poppy.wav",
    f"Sessions/3/{STAMP}_User HeadMounted_Spike.wav",
)


def rating(*values: float, start_s: float = 0.0) -> bytes:
    """As MATLAB writes it."""
    rows = (f"   {start_s + k / 50:.7e}   {value:.7e}\n" for k, value in enumerate(values))
    return "".join(rows).encode()


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    folder = touch(tmp_path / "semaine", *CONVERSATION)
    # The folder's number is not that of the recording.
    touch(folder, "Sessions/2/R5S1TUCPoDV.txt", content=rating(0.1, 0.2, 0.3))
    touch(folder, "Sessions/2/R6S1TUCPoDV.txt", content=rating(0.9, 0.9))
    touch(folder, "Sessions/2/R6S1TUCPoDV2.txt", content=rating(0.4, 0.5))
    touch(folder, "Sessions/2/R5S1TUCPoDA.txt", content=rating(-0.5, start_s=0.02))
    touch(folder, "Sessions/2/R5S1TOCPoDA.txt", content=rating(0.6, 0.7))
    touch(folder, "Sessions/2/R5S1TUCPoDAmuse.txt", content=b"x")
    touch(folder, "Sessions/2/alignedTranscript_2.txt", content=b"--- hello\n")
    return folder


def test_semaine(conversations: Path, tmp_path: Path):
    found, said = made(tmp_path / "m.jsonl", "semaine", conversations)
    trace = {"kind": "trace", "rate_hz": 50.0}
    assert found.header.to_dict()["labels"] == {
        "valence": {**trace, "raters": ["R5", "R6"]}, "arousal": {**trace, "raters": ["R5"]},
    }  # fmt: skip
    items = by_id(found)
    user = items["semaine_2_user"]
    assert user["media"] == {"audio": CONVERSATION[0], "video": CONVERSATION[1]}
    assert user["speaker"] == f"semaine_{STAMP}_user" and user["session"] == "semaine_2"
    assert (user["role"], user["character"]) == ("user", "poppy") and "split" not in user
    # The last attempt counts; a rater who stopped early does not know the rest.
    assert user["labels"] == {
        "valence": [[0.1, 0.4], [0.2, 0.5], [0.3, None]], "arousal": [[None], [-0.5]],
    }  # fmt: skip
    assert items["semaine_2_operator"]["labels"] == {"arousal": [[0.6], [0.7]]}
    assert items["semaine_3_user"]["speaker"] == user["speaker"]
    assert "no ratings (kept without): 1: semaine_3_user" in said
    assert "left out, another microphone or camera: 3" in said and len(found) == 3
    inputs = [given["role"] for given in found.header.to_dict()["provenance"]["inputs"]]
    assert inputs == ["corpus"] + ["table"] * 4


def test_semaine_with_ratings_elsewhere(conversations: Path, tmp_path: Path):
    tables = tmp_path / "ratings"
    touch(tables, "3/R1S1TUCSpDP.txt", content=rating(0.1, 0.2))
    found, _ = made(tmp_path / "m.jsonl", "semaine", conversations, tables=tables, modality="audio")
    items = by_id(found)
    assert items["semaine_3_user"]["labels"] == {"power": [[0.1], [0.2]]}
    assert items["semaine_2_user"]["labels"] == {}
    assert items["semaine_2_user"]["media"] == CONVERSATION[0]
    # One folder of a session is enough.
    found, _ = made(tmp_path / "one.jsonl", "semaine", conversations / "Sessions" / "2")
    assert by_id(found)["semaine_2_user"]["labels"]["arousal"] == [[None], [-0.5]]


def test_semaine_of_two_copies(conversations: Path, tmp_path: Path):
    touch(conversations, "backup/2/R5S1TUCPoDV.txt", content=rating(0.0))
    with pytest.raises(DataError, match="are the same rating; name the folder of one"):
        made(tmp_path / "m.jsonl", "semaine", conversations)


# -- Aff-Wild2 ------------------------------------------------------------------------------------

SETS = "annotations/VA_Estimation_Challenge"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Of 30 and 15 pictures a second, and three that are none."""
    names = ("batch2/10-60-1280x720.avi", "batch2/430.mp4", "batch1/video5.mp4")
    folder = touch(tmp_path / "affwild2", *names)
    (folder / "batch1").mkdir(exist_ok=True)
    picture = np.zeros((32, 32), np.uint8)
    write_video(folder / "batch1" / "video1.mp4", [picture] * 6, fps=30)
    write_video(folder / "batch1" / "video2.mp4", [picture] * 3, fps=15)
    head = "valence,arousal\n"
    content = {
        "Train_Set/video1.txt": "0.1,-0.1\n0.2,-0.2\n-5,-5\n0.4,-5\n",
        "Validation_Set/video2.txt": "0.0,0.5\n0.2,0.5\n0.4,0.5\n",
        "Train_Set/10-60-1280x720.txt": "0.3,0.3\n0.4,0.4\n",
        "Train_Set/video5_left.txt": "0,0\n",
        "Train_Set/gone.txt": "0,0\n",
    }
    for name, rows in content.items():
        touch(folder, f"{SETS}/{name}", content=(head + rows).encode())
    return folder


def test_aff_wild2(films: Path, tmp_path: Path):
    found, said = made(tmp_path / "m.jsonl", "aff-wild2", films)
    trace = {"kind": "trace", "rate_hz": 30.0}
    assert found.header.to_dict()["labels"] == {"valence": trace, "arousal": trace}
    items = by_id(found)
    assert items["aff-wild2_video1"] == {
        "kind": "item", "id": "aff-wild2_video1", "media": "batch1/video1.mp4",
        "speaker": "aff-wild2_video1", "film": "video1", "split": "train",
        # -5 was not rated.
        "labels": {"valence": [0.1, 0.2, None, 0.4], "arousal": [-0.1, -0.2, None, None]},
    }  # fmt: skip
    # A value for each picture, of which there are fifteen a second.
    second = items["aff-wild2_video2"]
    assert second["labels"]["valence"] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert second["split"] == "development"
    # No film to ask for its rate.
    assert items["aff-wild2_10-60-1280x720"]["labels"]["valence"] == [0.3, 0.4]
    assert "frame rate not found (30 a second assumed): 1: batch2/10-60-1280x720.avi" in said
    assert items["aff-wild2_430"]["labels"] == {} and "split" not in items["aff-wild2_430"]
    assert "rated, but the video is not there: 1: gone" in said
    assert "rates one of two people in the video" in said and "1: video5_left" in said
    assert "not even" not in said


def test_aff_wild2_beyond_its_scale(films: Path, tmp_path: Path):
    rows = b"valence,arousal\n0.1,-0.1\n1,1.01\n-5,-5\n"
    touch(films, f"{SETS}/Train_Set/video1.txt", content=rows)
    found, said = made(tmp_path / "m.jsonl", "aff-wild2", films)
    labels = by_id(found)["aff-wild2_video1"]["labels"]
    assert labels == {"valence": [0.1, 1.0, None], "arousal": [-0.1, None, None]}
    assert "values beyond -1..1 (unknown there): 1: video1.txt" in said


def test_aff_wild2_without_or_with_odd_annotations(films: Path, tmp_path: Path):
    other = tmp_path / "other" / "VA_Set" / "Validation_Set"
    touch(other, "video1.txt", content=b"valence,arousal\n-0.5,0.5\n")
    found, _ = made(tmp_path / "m.jsonl", "aff-wild2", films, tables=tmp_path / "other")
    assert by_id(found)["aff-wild2_video1"]["split"] == "development"
    with pytest.raises(DataError, match="holds no annotations of Aff-Wild2"):
        made(tmp_path / "n.jsonl", "aff-wild2", films / "batch1")
    touch(other, "video2.txt", content=b"expression\n1\n2\n")
    with pytest.raises(DataError, match="expected the columns valence and arousal"):
        made(tmp_path / "n.jsonl", "aff-wild2", films, tables=tmp_path / "other")
    touch(films, f"{SETS}/Validation_Set/video1.txt", content=b"valence,arousal\n0,0\n")
    with pytest.raises(DataError, match="are of one video"):
        made(tmp_path / "n.jsonl", "aff-wild2", films)
