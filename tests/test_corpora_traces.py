"""Adapters of corpora with labels over time: SEWA and RECOLA, on copies of their layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chain import invoke
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError
from avaffect.data.store.reader import Store
from avaffect.data.traces import on_grid

NAN = float("nan")


def test_times_at_the_grid_keep_their_values():
    values = np.array([0.5, -1.0, 2.0, NAN, 3.0])
    times = np.arange(5) / 25
    np.testing.assert_array_equal(on_grid(times, values, 25.0), np.float32(values))
    # Thirds, as a table rounds them.
    rounded = on_grid(np.array([0.0, 0.33, 0.67, 1.0]), values[:4], 3.0)
    np.testing.assert_array_equal(rounded, np.float32(values[:4]))


def test_other_times_are_interpolated():
    times = np.array([0.05, 0.15, 0.25, 0.35])
    found = on_grid(times, np.array([1.0, 2.0, 4.0, NAN]), 10.0)
    np.testing.assert_allclose(found, [NAN, 1.5, 3.0, NAN], rtol=1e-6)
    both = on_grid(np.arange(5) * 0.04, np.stack([np.arange(5), -np.arange(5)], axis=1), 12.5)
    np.testing.assert_allclose(both, [[0, 0], [2, -2], [4, -4]], atol=1e-6)
    # Once a second or so, asked for twice.
    slow = on_grid(np.array([0.0, 1.0, 2.2]), np.array([0.0, 1.0, 2.2]), 2.0)
    np.testing.assert_allclose(slow, [0, 0.5, 1, 1.5, 2], rtol=1e-6)


def test_what_lies_in_a_gap_or_before_the_first_is_not_known():
    times = np.array([0.2, 0.3, 0.4, 0.6, 1.0])
    gap = on_grid(times, np.array([1.0, 2.0, 3.0, 5.0, 4.0]), 10.0)
    np.testing.assert_array_equal(gap, [NAN, NAN, 1, 2, 3, 4, 5, NAN, NAN, NAN, 4])
    early = on_grid(np.array([-0.2, -0.1, 0.0, 0.1]), np.arange(4.0), 10.0)
    np.testing.assert_array_equal(early, [2, 3])
    assert on_grid(np.empty(0), np.empty((0, 3)), 10.0).shape == (0, 3)
    assert on_grid(np.array([-1.0]), np.array([5.0]), 10.0).shape == (0,)


SEWA = (
    "audio/Train_DE_01.wav",
    "video/Train_DE_01.avi",
    "audio/Devel_HU_12.wav",
    "video/Test_CN_03.mp4",
    "audio/Devel_02.wav",
)
HEADER = "name;timestamp;arousal;valence;liking\n"
ROWS = "'x';0.0;0.1;-0.2;0\n'x';0.1;0.15;;0.5\n'x';0.2;0.2;-0.3;1\n"


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    folder = touch(tmp_path / "sewa", *SEWA)
    touch(folder, "labels/Train_DE_01.csv", content=(HEADER + ROWS).encode())
    touch(folder, "labels/Devel_HU_12.csv", content=ROWS.encode())
    touch(folder, "audio_features/Train_DE_01.csv", content=b"'x';0.0;1;2;3;4\n")
    return folder


def test_sewa_with_and_without_names_of_columns(chats, tmp_path):
    found, said = made(tmp_path / "m.jsonl", "sewa", chats)
    trace = {"kind": "trace", "rate_hz": 10.0}
    assert found.header.to_dict()["labels"] == {"arousal": trace, "valence": trace, "liking": trace}
    items = by_id(found)
    labels = {"arousal": [0.1, 0.15, 0.2], "valence": [-0.2, None, -0.3], "liking": [0.0, 0.5, 1.0]}
    assert items["sewa_Train_DE_01"] == {
        "kind": "item", "id": "sewa_Train_DE_01", "media": {"audio": SEWA[0], "video": SEWA[1]},
        "speaker": "sewa_Train_DE_01", "split": "train", "language": "German", "labels": labels,
    }  # fmt: skip
    assert items["sewa_Devel_HU_12"]["labels"] == labels
    assert items["sewa_Devel_HU_12"]["split"] == "development"
    test = items["sewa_Test_CN_03"]
    assert (test["split"], test["language"], test["labels"]) == ("test", "Chinese", {})
    assert items["sewa_Devel_02"]["language"] == "German"
    # Labels of the test part were kept back; of another part they are missed.
    assert "no table of labels (kept without): 1: sewa_Devel_02" in said
    assert "arousal: 2; missing 2" in said


def test_sewa_of_one_modality(chats, tmp_path):
    found, said = made(tmp_path / "m.jsonl", "sewa", chats, modality="audio")
    assert all(isinstance(item["media"], str) for item in found.items) and len(found) == 3
    assert "left out, without an audio file: 1: Test_CN_03" in said


def test_sewa_with_real_labels_elsewhere(recordings, tmp_path):
    gold = recordings / "labels" / "sewa_devel" / "gold"
    folder = touch(tmp_path / "sewa", *(f"audio/Devel_DE_{n:02d}.wav" for n in range(1, 15)))
    found, _ = made(tmp_path / "m.jsonl", "sewa", folder, tables=gold)
    item = by_id(found)["sewa_Devel_DE_04"]
    table = (gold / "Devel_DE_04.csv").read_text().splitlines()[1:]
    for column, label in enumerate(("arousal", "valence", "liking"), start=2):
        assert item["labels"][label] == [float(row.split(";")[column]) for row in table]
    assert all(len(i["labels"]["arousal"]) > 400 for i in found.items)
    inputs = found.header.to_dict()["provenance"]["inputs"]
    assert [given["role"] for given in inputs] == ["corpus"] + ["table"] * 14


def test_labels_that_cannot_be_told_apart_or_read(chats, tmp_path):
    # Predictions bear the names of gold standards.
    shutil.copytree(chats / "labels", chats / "baseline" / "labels")
    with pytest.raises(DataError, match=r"are of one recording; .* with --tables"):
        made(tmp_path / "m.jsonl", "sewa", chats)
    shutil.rmtree(chats / "baseline")
    (chats / "labels" / "Train_DE_01.csv").write_text("name;timestamp;arousal\n'x';0.0;1\n")
    with pytest.raises(DataError, match="expected the columns arousal, valence, liking"):
        made(tmp_path / "m.jsonl", "sewa", chats)
    (chats / "labels" / "Train_DE_01.csv").write_text("'x';0.0;1\n")
    with pytest.raises(DataError, match=r"Train_DE_01\.csv, line 1: 3 fields, but 5 columns"):
        made(tmp_path / "m.jsonl", "sewa", chats)


def test_tables_of_other_times_are_put_on_the_common_grid_and_counted(chats, tmp_path):
    late = "".join(f"'x';{0.05 + k / 10:.2f};{k};0;0\n" for k in range(4))
    touch(chats, "labels/Devel_02.csv", content=(HEADER + late).encode())
    odd = "'x';0.0;0;0;0\n'x';0.1;1;0;0\n'x';0.3;3;0;0\n"
    touch(chats, "audio/Devel_03.wav", "audio/Devel_04.wav")
    touch(chats, "labels/Devel_03.csv", content=(HEADER + odd).encode())
    found, said = made(tmp_path / "m.jsonl", "sewa", chats)
    # Even, but half a step late: nothing to count.
    arousal = by_id(found)["sewa_Devel_02"]["labels"]["arousal"]
    assert arousal == [None, 0.5, 1.5, 2.5]
    assert by_id(found)["sewa_Devel_03"]["labels"]["arousal"] == [0.0, 1.0, 2.0, 3.0]
    assert "times of arousal are not even at 10 Hz (interpolated): 1: Devel_03" in said
    # Nothing is made up where values lie far apart.
    gap = "'x';0.0;0;0;0\n'x';0.1;1;0;0\n'x';0.2;2;0;0\n'x';0.8;8;0;0\n"
    touch(chats, "labels/Devel_03.csv", content=(HEADER + gap).encode())
    found, said = made(tmp_path / "n.jsonl", "sewa", chats)
    arousal = by_id(found)["sewa_Devel_03"]["labels"]["arousal"]
    assert arousal == [0, 1, 2, *[None] * 5, 8]
    assert "times of arousal have gaps (nothing is known there): 1: Devel_03" in said
    assert "interpolated" not in said


def test_ratings_without_a_recording_or_a_value_are_named(chats, tmp_path):
    touch(chats, "labels/Train_DE_02.csv", content=(HEADER + ROWS).encode())
    empty = "'x';0.0;;0;\n'x';0.1;?;0;\n"
    touch(chats, "labels/Devel_02.csv", content=(HEADER + empty).encode())
    found, said = made(tmp_path / "m.jsonl", "sewa", chats)
    assert "rated, but the recording is not there: 1: Train_DE_02" in said
    assert by_id(found)["sewa_Devel_02"]["labels"] == {"valence": [0.0, 0.0]}
    assert "no value of arousal is known (kept without it): 1: Devel_02" in said
    assert "arousal: 2; missing 2" in said and "valence: 3; missing 1" in said
    # What another modality leaves out is there.
    touch(chats, "labels/Test_CN_03.csv", content=(HEADER + ROWS).encode())
    _, said = made(tmp_path / "n.jsonl", "sewa", chats, modality="audio")
    assert "rated, but the recording is not there: 1: Train_DE_02" in said
    folder = conferences(tmp_path / "recola", "train_1", "dev_9")
    for path in folder.glob("recordings_*/dev_9.*"):
        path.unlink()
    _, said = made(tmp_path / "r.jsonl", "recola", folder)
    assert "rated, but the recording is not there: 1: dev_9" in said


GOLD = "@relation GOLDSTANDARD\n@attribute Instance_name string\n@attribute frameTime numeric\n" \
       "@attribute GoldStandard numeric\n@data\n"  # fmt: skip
INDIVIDUAL = "time;FM1 ;FM2 ;FM3 ;FF1 ;FF2 ;FF3\n0;0.1;0.2;0.3;0.4;0.5;0.6\n0.04;;0;0;0;0;1\n"
SIX = ["FM1", "FM2", "FM3", "FF1", "FF2", "FF3"]


def conferences(folder: Path, *names: str) -> Path:
    for name in names:
        touch(folder, f"recordings_audio/{name}.wav", f"recordings_video/{name}.mp4")
        for dimension, sign in (("arousal", ""), ("valence", "-")):
            rows = f"{name},0,{sign}0.25\n{name},0.04,{sign}0.5\n"
            touch(folder, f"ratings_gold_standard/{dimension}/{name}.arff",
                  content=(GOLD + rows).encode())  # fmt: skip
            # Features have folders and names alike.
            touch(folder, f"features_audio/{dimension}/{name}.arff", content=b"@relation x\n")
    return folder


def test_recola_of_the_challenges(tmp_path):
    folder = conferences(tmp_path / "recola", "train_1", "dev_9")
    touch(folder, "recordings_audio/test_2.wav", "recordings_audio/dev_3.wav")
    touch(folder, "ratings_individual/arousal/dev_9.csv", content=INDIVIDUAL.encode())
    found, said = made(tmp_path / "m.jsonl", "recola", folder)
    assert found.header.to_dict()["labels"] == {
        "arousal": {"kind": "trace", "rate_hz": 25.0},
        "arousal_raters": {"kind": "trace", "rate_hz": 25.0, "raters": SIX},
        "valence": {"kind": "trace", "rate_hz": 25.0},
    }
    items = by_id(found)
    assert items["recola_train_1"] == {
        "kind": "item", "id": "recola_train_1",
        "media": {"audio": "recordings_audio/train_1.wav", "video": "recordings_video/train_1.mp4"},
        "speaker": "recola_train_1", "split": "train",
        "labels": {"arousal": [0.25, 0.5], "valence": [-0.25, -0.5]},
    }  # fmt: skip
    raters = items["recola_dev_9"]["labels"]["arousal_raters"]
    assert raters == [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [None, 0, 0, 0, 0, 1]]
    assert items["recola_test_2"]["split"] == "test" and items["recola_test_2"]["labels"] == {}
    assert "no ratings (kept without): 1: recola_dev_3" in said


def test_recola_as_it_first_was(tmp_path):
    folder = touch(tmp_path / "recola", "RECOLA-Audio-recordings/P16.wav",
                   "RECOLA-Audio-recordings/P17.wav")  # fmt: skip
    ratings = tmp_path / "RECOLA-Annotation" / "emotional_behaviour"
    touch(ratings, "arousal/P16.csv", "valence/P16.csv", content=INDIVIDUAL.encode())
    # Another order of the raters, and one fewer.
    other = "time;FF3;FF2;FF1;FM3;FM2\n0;6;5;4;3;2\n"
    touch(ratings, "arousal/P17.csv", content=other.encode())
    found, _ = made(tmp_path / "m.jsonl", "recola", folder, tables=ratings)
    assert found.header.to_dict()["labels"]["arousal"] == {
        "kind": "trace",
        "rate_hz": 25.0,
        "raters": SIX,
    }
    items = by_id(found)
    assert "split" not in items["recola_P16"]
    assert items["recola_P17"]["labels"] == {"arousal": [[None, 2, 3, 4, 5, 6]]}


def test_recola_gold_standards_that_cannot_be_used(tmp_path):
    folder = conferences(tmp_path / "recola", "train_1")
    copy = folder / "copy" / "ratings_gold_standard" / "arousal"
    shutil.copytree(folder / "ratings_gold_standard" / "arousal", copy)
    with pytest.raises(DataError, match="are of one recording"):
        made(tmp_path / "m.jsonl", "recola", folder)
    shutil.rmtree(copy.parent)
    wide = GOLD.replace("@data", "@attribute second numeric\n@data") + "train_1,0,1,2\n"
    (folder / "ratings_gold_standard" / "arousal" / "train_1.arff").write_text(wide)
    with pytest.raises(DataError, match="one column of values, not 2"):
        made(tmp_path / "m.jsonl", "recola", folder)


def test_from_a_corpus_folder_to_a_store(tmp_path):
    folder = conferences(tmp_path / "recola", "train_1")
    touch(folder, "ratings_individual/valence/train_1.csv", content=INDIVIDUAL.encode())
    tone = 0.3 * np.sin(np.arange(16000) * 0.2)
    soundfile.write(folder / "recordings_audio" / "train_1.wav", tone, 16000)
    invoke(tmp_path, "manifest", "recola", "recola", "--modality", "audio", "-o", "m.jsonl")
    invoke(tmp_path, "preprocess", "m.jsonl", "-o", "m.h5", "-j", 1)
    store = Store(tmp_path / "m.h5")
    np.testing.assert_array_equal(store.trace("arousal", 0), [0.25, 0.5])
    assert store.labels["valence_raters"].raters == 6
    np.testing.assert_array_equal(store.trace("valence_raters", 0)[1], [NAN, 0, 0, 0, 0, 1])
