"""SAVEE, TESS, MELD, CMU-MOSEI and EmoBox on small folders of the published layouts; maps of labels
by name."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from corpus_folders import by_id, made, touch

from avaffect.core import inputs
from avaffect.core.errors import DataError, UsageError
from avaffect.data.vocabulary import EMOTIONS
from avaffect.settings.manifest import ManifestSettings


def test_savee_in_both_layouts(tmp_path):
    folder = touch(
        tmp_path / "savee",
        "AudioData/DC/sa05.wav", "AudioVisualClip/DC/sa05.avi", "AudioData/KL/n30.wav",
        "AudioData/JE/a1.wav", "ALL/JK_su15.wav", "AudioData/x01.wav", "Info.txt",
    )  # fmt: skip
    found, said = made(tmp_path / "m.jsonl", "savee", folder)
    items = by_id(found)
    assert [*items] == ["savee_DC_sa05", "savee_JE_a01", "savee_JK_su15", "savee_KL_n30"]
    both = items["savee_DC_sa05"]
    assert both["media"] == {
        "audio": "AudioData/DC/sa05.wav", "video": "AudioVisualClip/DC/sa05.avi",
    }  # fmt: skip
    assert (both["speaker"], both["sex"], both["sentence"]) == ("savee_DC", "male", 5)
    assert [item["labels"]["emotion"] for item in items.values()] == [
        "sadness", "anger", "surprise", "neutral",
    ]  # fmt: skip
    assert "savee: 4 of 480 utterances, 4 speakers" in said and "x01.wav" in said
    alone, _ = made(tmp_path / "one.jsonl", "savee", folder / "AudioData" / "DC")
    assert [*by_id(alone)] == ["savee_DC_sa05"]


def test_tess_and_its_misnamed_file(tmp_path):
    folder = touch(
        tmp_path / "tess",
        "OAF_angry/OAF_back_angry.wav", "YAF_pleasant_surprised/YAF_dog_ps.wav",
        "OAF_neutral/OA_bite_neutral.wav", "Old/OAF_x_calm.wav",
    )  # fmt: skip
    found, said = made(tmp_path / "m.jsonl", "tess", folder)
    items = by_id(found)
    assert {k: (v["speaker"], v["age"], v["labels"]["emotion"]) for k, v in items.items()} == {
        "tess_OAF_back_angry": ("tess_OAF", 64, "anger"),
        "tess_OAF_bite_neutral": ("tess_OAF", 64, "neutral"),
        "tess_YAF_dog_ps": ("tess_YAF", 26, "surprise"),
    }
    assert items["tess_YAF_dog_ps"]["text"] == "Say the word dog."
    assert "tess: 3 of 2800 utterances, 2 speakers" in said and "OAF_x_calm" in said


HEAD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime"
)


def _meld(folder: Path) -> Path:
    touch(
        folder,
        "train/train_splits/dia0_utt0.mp4", "train/train_splits/dia0_utt1.mp4",
        "dev_splits_complete/dia0_utt0.mp4", "output_repeated_splits_test/dia0_utt0.mp4",
        "output_repeated_splits_test/final_videos_testdia9_utt9.mp4",
        "output_repeated_splits_test/._dia0_utt0.mp4", "dev_splits_complete/dia7_utt7.mp4",
    )  # fmt: skip
    rows = {
        "train/train": ['1,"You don\x92t, so",Chandler,joy,positive,0,0,8,21,"00:16:16,059"',
                        "2,Hi!,The Interviewer,neutral,neutral,0,1,8,21,x",
                        "3,Gone,Joey,fear,negative,1,0,8,21,x"],
        "dev": ["1,Oh my God,Phoebe,sadness,negative,0,0,4,7,x"],
        "test": ["1,Why,Mark,surprise,positive,0,0,3,19,x"],
    }  # fmt: skip
    for part, lines in rows.items():
        text = "\n".join([HEAD, *lines]) + "\n"
        (folder / f"{part}_sent_emo.csv").write_text(text, encoding="utf-8")
    return folder


def test_meld_has_parts_that_number_anew(tmp_path):
    found, said = made(tmp_path / "m.jsonl", "meld", _meld(tmp_path / "MELD.Raw"))
    items = by_id(found)
    assert {k: (v["speaker"], v["split"], v["labels"]["emotion"]) for k, v in items.items()} == {
        "meld_dev_dia0_utt0": ("meld_Phoebe", "development", "sadness"),
        "meld_test_dia0_utt0": ("meld_Mark", "test", "surprise"),
        "meld_train_dia0_utt0": ("meld_Chandler", "train", "happiness"),
        "meld_train_dia0_utt1": ("meld_The Interviewer", "train", "neutral"),
    }
    first = items["meld_train_dia0_utt0"]
    assert first["text"] == "You don’t, so" and first["labels"]["sentiment"] == "positive"
    assert (first["season"], first["episode"], first["dialogue"]) == (8, 21, "train_0")
    assert "meld: 4 of 13708 utterances" in said
    assert "no recording is there: 1: meld_train_dia1_utt0" in said
    assert "left out, in no table: 1: " in said and "final_videos_test" in said
    wrong = tmp_path / "MELD.Raw" / "dev_sent_emo.csv"
    wrong.write_text(wrong.read_text().replace("sadness", "gloom"))
    with pytest.raises(DataError, match="line 2"):
        made(tmp_path / "n.jsonl", "meld", tmp_path / "MELD.Raw")
    with pytest.raises(DataError, match="--tables"):
        made(tmp_path / "n.jsonl", "meld", tmp_path / "MELD.Raw" / "dev_splits_complete")


def test_lines_of_meld_that_differ_are_refused(tmp_path):
    folder = _meld(tmp_path / "MELD.Raw")
    table = next(folder.rglob("dev_sent_emo.csv"))
    once = table.read_text()
    line = once.splitlines()[1]
    # The same line again changes nothing.
    table.write_text(f"{once}{line}\n")
    made(tmp_path / "m.jsonl", "meld", folder)
    table.write_text(f"{once}{line.replace('sadness', 'joy')}\n")
    with pytest.raises(DataError, match="line 3: dev_dia0_utt0"):
        made(tmp_path / "m.jsonl", "meld", folder, force=True)


def test_a_part_of_meld(tmp_path):
    """The folder of a part says which it is; recordings of the others are not missed."""
    whole = _meld(tmp_path / "MELD.Raw")
    for place, names in (
        ("train/train_splits", ["meld_train_dia0_utt0", "meld_train_dia0_utt1"]),
        ("output_repeated_splits_test", ["meld_test_dia0_utt0"]),
        ("train", ["meld_train_dia0_utt0", "meld_train_dia0_utt1"]),
    ):
        found, said = made(tmp_path / "m.jsonl", "meld", whole / place, tables=whole, force=True)
        assert [*by_id(found)] == names
        assert "meld_dev_dia0_utt0" not in said or place == "train"


def _mosei(folder: Path, three: bool = False) -> Path:
    touch(
        folder,
        "Raw/Audio/Full/WAV_16000/abc.wav", "Raw/Videos/Full/Combined/abc.mp4",
        "Raw/Videos/Segmented/Combined/abc_0.mp4", "Raw/Audio/Full/WAV_16000/-x_1.wav",
        "Raw/Audio/Full/WAV_16000/other.wav",
    )  # fmt: skip
    with h5py.File(folder / "CMU_MOSEI_Labels.csd", "w") as file:
        data = file.create_group("All Labels").create_group("data")
        for name, times, values in (
            ("abc", [[4.5, 6.0], [0.0, 4.5]], [[-1, 0, 2, 1, 0, 0, 0], [3, 2, 0, 2, 0, 0, 0]]),
            ("-x_1", [[1.0, 2.0], [3.0, 3.0]], [[0, 0, 0, 0, 0, 0, 0], [0] * 7]),
            ("gone", [[0.0, 1.0]], [[0, 1, 0, 0, 0, 0, 0]]),
        ):
            group = data.create_group(name)
            group["intervals"] = np.array(times)
            found = np.array(values, dtype=np.float32)
            group["features"] = found[:, None] if three else found
    texts = folder / "Raw/Transcript/Segmented/Combined"
    texts.mkdir(parents=True)
    (texts / "abc.txt").write_text("abc___0___0.0___4.501___I like it\nabc___1___4.5___6___No\n")
    (folder / "cmu_mosei_std_folds.py").write_text(
        "import os\nstandard_train_fold=['abc', 'gone']\nstandard_valid_fold=['-x_1']\n"
        "standard_test_fold=[]\nraise SystemExit\n"
    )
    return folder


@pytest.mark.parametrize("three", [False, True])
def test_cmu_mosei_in_segments(tmp_path, three):
    found, said = made(tmp_path / "m.jsonl", "cmu-mosei", _mosei(tmp_path / "MOSEI", three))
    items = by_id(found)
    assert [*items] == ["cmu-mosei_-x_1_0", "cmu-mosei_abc_0", "cmu-mosei_abc_1"]
    first, second = items["cmu-mosei_abc_0"], items["cmu-mosei_abc_1"]
    assert (first["start"], first["end"], first["text"]) == (0.0, 4.5, "I like it")
    assert first["labels"] == {
        "sentiment": 3.0, "happiness": 2.0, "sadness": 0.0, "anger": 2.0, "surprise": 0.0,
        "disgust": 0.0, "fear": 0.0,
    }  # fmt: skip
    assert second["labels"]["emotion"] == "sadness" and second["labels"]["sentiment"] == -1.0
    assert first["media"] == {
        "audio": "Raw/Audio/Full/WAV_16000/abc.wav", "video": "Raw/Videos/Full/Combined/abc.mp4",
    }  # fmt: skip
    assert (first["session"], first["split"]) == ("cmu-mosei_abc", "train")
    assert items["cmu-mosei_-x_1_0"]["split"] == "development"
    assert items["cmu-mosei_-x_1_0"]["labels"]["emotion"] == "neutral"
    assert "labelled, but no recording is there: 1: gone" in said
    assert "the end is not after the start: 1: cmu-mosei_-x_1_1" in said
    assert "left out, without labels: 1: " in said


def test_words_of_cmu_mosei_in_another_encoding(tmp_path):
    """No letter is replaced in silence."""
    folder = _mosei(tmp_path / "MOSEI")
    words = folder / "Raw/Transcript/Segmented/Combined/abc.txt"
    words.write_bytes(b"abc___0___0.0___4.5___It\x92s\n")
    found, said = made(tmp_path / "m.jsonl", "cmu-mosei", folder)
    assert "text" not in by_id(found)["cmu-mosei_abc_0"] and "abc.txt" in said
    with inputs.of_command(ManifestSettings(corpus="x", source=folder, encoding="cp1252")):
        found, said = made(tmp_path / "w.jsonl", "cmu-mosei", folder, encoding="cp1252")
    assert by_id(found)["cmu-mosei_abc_0"]["text"] == "It’s"


def test_the_answers_of_annotators_are_not_the_labels_of_cmu_mosei(tmp_path):
    folder = _mosei(tmp_path / "MOSEI")
    (folder / "CMU_MOSEI_Labels.csd").unlink()
    with pytest.raises(DataError, match=r"tables DIR$"):
        made(tmp_path / "m.jsonl", "cmu-mosei", folder)
    touch(folder, "Raw/Labels/5000_batch_raw.csv")
    with pytest.raises(DataError, match=r"tables DIR .*5000_batch_raw\.csv"):
        made(tmp_path / "m.jsonl", "cmu-mosei", folder)


def test_damaged_labels_of_cmu_mosei(tmp_path):
    folder = _mosei(tmp_path / "MOSEI")
    path = folder / "CMU_MOSEI_Labels.csd"
    content = path.read_bytes()
    for damage in (b"", content[: len(content) // 2], b"no HDF5 at all"):
        path.write_bytes(damage)
        with pytest.raises(DataError):
            made(tmp_path / "m.jsonl", "cmu-mosei", folder)
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_group("All Labels")["data"] = h5py.ExternalLink("other.h5", "/")
    with pytest.raises(DataError, match="link"):
        made(tmp_path / "m.jsonl", "cmu-mosei", folder)
    path.unlink()
    with pytest.raises(DataError, match="--tables"):
        made(tmp_path / "m.jsonl", "cmu-mosei", folder)


def _emobox(folder: Path) -> Path:
    """Two corpora of EmoBox, of which one has folds, and a third that is not there."""
    corpora = {
        "emodb": ({"anger": "Angry", "boredem": "Boredom", "happy": "Happy"},
                  {"03a01Wa": "anger", "08a01Lb": "boredem", "09a01Fa": "happy", "10a01Xx": "odd"},
                  {1: ("03a01Wa",), 2: ("08a01Lb", "09a01Fa")}),
        "meld": ({"joy": "Happy"}, {"dia0_utt0-dev": "joy"}, {}),
        "tess": ({"ps": "Surprise"}, {"OAF-back-ps": "ps"}, {}),
    }  # fmt: skip
    for name, (labels, rows, folds) in corpora.items():
        data = folder / "data" / name
        data.mkdir(parents=True)
        (data / "label_map.json").write_text(json.dumps(labels))
        lines = {
            key: json.dumps({
                "key": f"{name}-{key}", "dataset": name, "wav": f"downloads/{name}/{key}.wav",
                "emo": emotion, "length": 2.5, "channel": 1,
            })
            for key, emotion in rows.items()
        }  # fmt: skip
        (data / f"{name}.jsonl").write_text("\n".join(lines.values()) + "\n")
        spoken = [f"{name}-{key} 1 {key[:2]} 0 1.5 <id={key},spk={key[:2]}> x" for key in rows]
        (data / "data.seg.wrd.stm").write_text("\n".join(spoken) + "\n")
        for number, tested in folds.items():
            fold = data / f"fold_{number}"
            fold.mkdir()
            for part, keys in (("test", tested), ("train", set(rows) - {*tested})):
                text = "".join(lines[key] + "\n" for key in keys)
                (fold / f"{name}_{part}_fold_{number}.jsonl").write_text(text)
                # An earlier division, which is still in the checkout.
                (fold / f"{name}_{part}_fold{number}.jsonl").write_text(lines["03a01Wa"] + "\n")
    data = folder / "data" / "meld" / "fold_1"
    data.mkdir()
    row = (folder / "data" / "meld" / "meld.jsonl").read_text()
    (data / "meld_valid_fold_1.jsonl").write_text(row)
    for part in ("train", "test"):
        (data / f"meld_{part}_fold_1.jsonl").write_text("")
    return folder


def test_emobox_lists_what_lies_on_disk(tmp_path):
    checkout = _emobox(tmp_path / "EmoBox")
    names = ("emodb/03a01Wa", "emodb/08a01Lb", "emodb/10a01Xx", "meld/dia0_utt0-dev")
    touch(tmp_path / "disk", *(f"downloads/{name}.wav" for name in names))
    found, said = made(tmp_path / "m.jsonl", "emobox", checkout, root=tmp_path / "disk")
    items = by_id(found)
    assert {
        k: (v["corpus"], v["speaker"], v["labels"].get("emotion"), v.get("fold"), v.get("split"))
        for k, v in items.items()
    } == {
        "emodb_03a01Wa": ("emodb", "emodb_03", "anger", 0, None),
        "emodb_08a01Lb": ("emodb", "emodb_08", "boredom", 1, None),
        "emodb_10a01Xx": ("emodb", "emodb_10", None, None, None),
        "meld_dia0_utt0-dev": ("meld", "meld_di", "happiness", None, "development"),
    }  # fmt: skip
    assert "corpora that are not there: 1: tess" in said
    assert "the recording is not there: 1: emodb_09a01Fa" in said
    one, _ = made(tmp_path / "one.jsonl", "emobox", checkout / "data" / "emodb",
                  root=tmp_path / "disk")  # fmt: skip
    assert [*by_id(one)] == ["emodb_03a01Wa", "emodb_08a01Lb", "emodb_10a01Xx"]
    rows = checkout / "data" / "emodb" / "emodb.jsonl"
    once = rows.read_text()
    rows.write_text(once + once.splitlines()[0].replace("anger", "happy") + "\n")
    with pytest.raises(DataError, match="emodb_03a01Wa"):
        made(tmp_path / "n.jsonl", "emobox", checkout, root=tmp_path / "disk")
    rows.write_text(once)
    # Without a map its classes are as they are spelled, but for common names.
    (checkout / "data" / "emodb" / "label_map.json").unlink()
    one, _ = made(tmp_path / "own.jsonl", "emobox", checkout, root=tmp_path / "disk")
    own = [item["labels"].get("emotion") for item in by_id(one).values()]
    assert own[:3] == ["anger", "boredom", "odd"]
    with pytest.raises(DataError, match="--root"):
        made(tmp_path / "n.jsonl", "emobox", checkout)
    with pytest.raises(DataError, match="checkout"):
        made(tmp_path / "n.jsonl", "emobox", tmp_path / "disk")
    again = checkout / "data" / "emodb" / "fold_2" / "emodb_test_fold_2.jsonl"
    whole = again.read_text()
    again.write_text(whole + '{"key": "emodb-03a01Wa"}\n')
    with pytest.raises(DataError, match="fold 1, too"):
        made(tmp_path / "n.jsonl", "emobox", checkout, root=tmp_path / "disk")
    again.write_text(whole)
    (checkout / "data" / "emodb" / "emodb.jsonl").write_text('{"key": 1}\n')
    with pytest.raises(DataError, match="line 1"):
        made(tmp_path / "n.jsonl", "emobox", checkout, root=tmp_path / "disk")


def test_maps_of_labels_by_name(tmp_path):
    rows = (("Angry", "x"), ("joy", "y"), ("excited", "x"), ("NEU", "y"), ("bored", "x"))
    lines = [f"{n}.wav,{emotion},{kind}\n" for n, (emotion, kind) in enumerate(rows)]
    (tmp_path / "t.csv").write_text("path,e,kind\n" + "".join(lines))
    table = {"media_column": "path", "label": ("emotion=e", "kind=kind"), "no_check_media": True}

    def mapped(*maps: str) -> list[str | None]:
        found, said = made(tmp_path / "m.jsonl", "table", tmp_path / "t.csv", map=maps, force=True,
                           **table)  # fmt: skip
        assert {item["labels"]["kind"] for item in found.items} == {"x", "y"}
        assert ("is happiness" in said) is bool(maps)
        return [item["labels"].get("emotion") for item in found.items]

    assert mapped() == ["Angry", "joy", "excited", "NEU", "bored"]
    assert mapped("emobox") == ["anger", "happiness", "excitement", "neutral", "boredom"]
    assert mapped("emobox-4") == ["anger", "happiness", "happiness", "neutral", None]
    assert mapped("bored=sadness", "emobox-4") == [
        "anger", "happiness", "happiness", "neutral", "sadness",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="emobox-4"):
        mapped("emobax")


def test_a_map_for_any_corpus(recordings, tmp_path):
    found, said = made(tmp_path / "m.jsonl", "emodb", recordings / "emodb", map=("emobox-4",))
    kinds = (found.header.labels or {})["emotion"].classes
    assert kinds == ("anger", "happiness", "neutral", "sadness") and "is missing" in said
    given = {item["labels"].get("emotion") for item in found.items}
    assert given == {"anger", "happiness", "neutral", "sadness"} and {*given} <= {*EMOTIONS}
    folder = touch(tmp_path / "grid", "s1/bbaf2n.mpg")
    with pytest.raises(DataError, match="no label of emotions"):
        made(tmp_path / "g.jsonl", "grid", folder, map=("emobox",))
    with pytest.raises(UsageError, match="does not apply"):
        made(tmp_path / "g.jsonl", "emodb", recordings / "emodb", map=("a=b",))
