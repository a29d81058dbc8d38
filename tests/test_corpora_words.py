"""Adapters of IEMOCAP and of the corpora of single words, on copies of their layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError, UsageError
from avaffect.data.corpora import iemocap
from avaffect.data.vocabulary import EMOTIONS

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 3.0000, 2.0000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Excited;\t()
C-E4:\tOther;\t(curious; puzzled)
C-F1:\tSadness;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\txxx\t[-1.0000, -1.0000, -1.0000]
C-E2:\tFrustration;\t()
C-E3:\tAnger;\t()

[12.0000 - 13.0000]\tSes01F_impro01_F002\texc\t[4.5000, 4.0000, 3.5000]
"""
SCRIPTED = "[1.0 - 2.0]\tSes05M_script01_1b_F000\tsur\t[3.0, 3.5, 2.0]\nC-E1:\tSurprised;\t()\n"
SPOKEN = (
    "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
    "M: Do you have your forms?\n"
    "Ses01F_impro01_MXX0 [007.0000-007.5000]: Mmhmm.\n"
)
TURNS = (
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav",
    "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F000.wav",
)


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """A folder as IEMOCAP_full_release is laid out."""
    folder = touch(
        tmp_path / "iemocap", *TURNS, "Session1/dialog/wav/Ses01F_impro01.wav",
        "Session1/dialog/avi/DivX/Ses01F_impro01.avi",
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt",
    )  # fmt: skip
    touch(folder, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", content=EVALUATION.encode())
    touch(folder, "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt", content=SCRIPTED.encode())
    # One rater's own file, in another format.
    touch(folder, "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt")
    touch(folder, "Session1/dialog/transcriptions/Ses01F_impro01.txt", content=SPOKEN.encode())
    return folder


def test_iemocap_turns_and_their_ratings(sessions, tmp_path):
    found, said = made(tmp_path / "m.jsonl", "iemocap", sessions)
    classes = found.header.to_dict()["labels"]["emotion"]["classes"]
    assert classes == [name for name in EMOTIONS if name in classes] and len(classes) == 10
    items = by_id(found)
    first = items["iemocap_Ses01F_impro01_F000"]
    votes = dict(zip(classes, first["labels"].pop("votes")))
    assert {k: v for k, v in votes.items() if v} == {"excitement": 1, "neutral": 2, "other": 1}
    assert first == {
        "kind": "item", "id": "iemocap_Ses01F_impro01_F000", "media": TURNS[0],
        "speaker": "iemocap_1F", "session": "iemocap_1", "sex": "female",
        "scenario": "improvised", "dialogue": "Ses01F_impro01", "text": "Excuse me.",
        "labels": {"emotion": "neutral", "valence": 2.5, "arousal": 3.0, "dominance": 2.0},
    }  # fmt: skip
    # The woman wears the markers, the man speaks; raters did not agree, nor give means.
    second = items["iemocap_Ses01F_impro01_M001"]
    assert (second["speaker"], list(second["labels"])) == ("iemocap_1M", ["votes"])
    scripted = items["iemocap_Ses05M_script01_1b_F000"]
    assert (scripted["speaker"], scripted["session"]) == ("iemocap_5F", "iemocap_5")
    assert (scripted["scenario"], scripted["labels"]["emotion"]) == ("scripted", "surprise")
    assert "3 of 10039 utterances, 3 speakers" in said
    assert "left out, a whole dialogue (.avi): 1: Session1/dialog/avi" in said
    assert "left out, a whole dialogue (.wav): 1: Session1/dialog/wav" in said
    assert "rated, but no recording is there: 1: Ses01F_impro01_F002" in said


def test_iemocap_with_its_evaluations_elsewhere(sessions, tmp_path):
    sound = tmp_path / "sound"
    (sessions / "Session1/sentences/wav").rename(sound)
    touch(sound, "Ses01F_impro01/Ses01F_impro01_F009.wav")
    found, said = made(tmp_path / "m.jsonl", "iemocap", sound, tables=sessions)
    labels = [item["labels"].get("emotion") for item in found.items]
    assert labels == ["neutral", None, None]
    assert "not rated (kept without labels): 1: Ses01F_impro01_F009" in said
    with pytest.raises(DataError, match="holds no evaluation of IEMOCAP"):
        made(tmp_path / "m.jsonl", "iemocap", sound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EVALUATION.replace("\tneu\t", "\tjoy\t"), r"line 3: the emotion is 'joy', none of ang"),
        (EVALUATION.replace("[2.5000, 3.0000, 2.0000]", ""), r"line 3: expected \[START - END\]"),
        ("nothing\n", "rates no turn"),
    ],
)
def test_iemocap_evaluations_that_cannot_be_used(sessions, tmp_path, text, said):
    (sessions / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        made(tmp_path / "m.jsonl", "iemocap", sessions)


def test_iemocap_spells_emotions_as_all_do():
    assert set(iemocap.EMOTIONS.values()) <= set(EMOTIONS)


WORDS = (
    "bed/0c40e715_nohash_0.wav",
    "bed/0c40e715_nohash_1.wav",
    "cat/0c40e715_nohash_0.wav",
    "cat/00f0204f_nohash_2.wav",
    "bed/ffa76c4a_nohash_0.wav",
)


def spoken_words(folder: Path) -> Path:
    touch(folder, *WORDS, "_background_noise_/pink_noise.wav", "cat/meow.wav")
    (folder / "validation_list.txt").write_text("cat/00f0204f_nohash_2.wav\n")
    (folder / "testing_list.txt").write_text("bed/ffa76c4a_nohash_0.wav\n")
    return folder


def test_speech_commands_words_speakers_and_parts(tmp_path):
    folder = spoken_words(tmp_path / "speech_commands_v0.01")
    found, said = made(tmp_path / "m.jsonl", "speech-commands", folder)
    assert found.header.to_dict()["labels"] == {
        "word": {"kind": "class", "classes": ["bed", "cat"]}
    }
    assert by_id(found)["speech-commands_cat_00f0204f_2"] == {
        "kind": "item", "id": "speech-commands_cat_00f0204f_2", "media": WORDS[3],
        "speaker": "speech-commands_00f0204f", "labels": {"word": "cat"}, "text": "cat",
        "split": "development",
    }  # fmt: skip
    splits = Counter(item["split"] for item in found.items)
    assert splits == {"train": 3, "development": 1, "test": 1}
    assert "5 of 64727 utterances, 3 speakers" in said
    assert "left out, background noise: 1: _background_noise_/pink_noise.wav" in said
    assert "named otherwise than Speech Commands's files" in said and "1: cat/meow.wav" in said
    touch(folder, "learn/0c40e715_nohash_0.wav")
    assert "6 of 105829" in made(tmp_path / "m2.jsonl", "speech-commands", folder)[1]


def test_speech_commands_without_its_lists_or_with_others(tmp_path):
    folder = spoken_words(tmp_path / "words")
    (folder / "testing_list.txt").rename(tmp_path / "testing_list.txt")
    found, said = made(tmp_path / "m.jsonl", "speech-commands", folder)
    assert not any("split" in item for item in found.items)
    assert "no testing_list.txt (kept without splits)" in said
    found, _ = made(tmp_path / "t.jsonl", "speech-commands", folder, tables=tmp_path)
    assert sum(item["split"] == "test" for item in found.items) == 1
    (folder / "testing_list.txt").write_text("bed 0c40e715\n")
    with pytest.raises(DataError, match=r"testing_list\.txt, line 1: .*found 'bed 0c40e715'"):
        made(tmp_path / "w.jsonl", "speech-commands", folder)


FILMS = (
    "lipread_mp4/ABOUT/train/ABOUT_00001.mp4",
    "lipread_mp4/ABOUT/val/ABOUT_00001.mp4",
    "lipread_mp4/ABOUT/test/ABOUT_00002.mp4",
    "lipread_mp4/ABUSE/train/ABUSE_00001.mp4",
)


def lips(tmp_path: Path) -> Path:
    return touch(
        tmp_path / "lrw", *FILMS, "lipread_mp4/ABOUT/train/ABOUT_00001.txt",
        "lipread_mp4/ABOUT/train/ABUSE_00003.mp4",
    )  # fmt: skip


def test_lrw_words_and_parts(tmp_path):
    found, said = made(tmp_path / "m.jsonl", "lrw", lips(tmp_path))
    assert found.header.to_dict()["labels"] == {
        "word": {"kind": "class", "classes": ["ABOUT", "ABUSE"]}
    }
    assert by_id(found)["lrw_val_ABOUT_00001"] == {
        "kind": "item", "id": "lrw_val_ABOUT_00001", "media": FILMS[1], "split": "development",
        "labels": {"word": "ABOUT"}, "text": "ABOUT",
    }  # fmt: skip
    assert len(found) == 4 and "4 of 538766 utterances, 0 speakers" in said
    assert "1: lipread_mp4/ABOUT/train/ABUSE_00003.mp4" in said


@pytest.mark.parametrize("by", ["file", "id"])
def test_lrw_keeps_faces_that_look_ahead(tmp_path, by):
    poses = {FILMS[0]: (9.5, -10, 0), FILMS[1]: (0, 0, 12), FILMS[3]: (-11, 0, 0)}
    rows = []
    for film, angles in poses.items():
        word, part, name = Path(film).with_suffix("").parts[-3:]
        key = f"lrw_{part}_{name}" if by == "id" else f"{word}/{part}/{name}.mp4"
        rows.append(",".join(map(str, (key, *angles))))
    table = tmp_path / "poses.csv"
    table.write_text("\n".join([f"{by},yaw,pitch,roll", *rows]) + "\n")
    folder = lips(tmp_path)
    found, said = made(tmp_path / "m.jsonl", "lrw", folder, poses=table)
    assert [item["id"] for item in found.items] == ["lrw_train_ABOUT_00001"]
    assert "left out, turned by more than 10 degrees: 2: " in said
    assert f"left out, without a pose in poses.csv: 1: {FILMS[2]}" in said
    found, said = made(tmp_path / "w.jsonl", "lrw", folder, poses=table, within=11.5)
    assert len(found) == 2 and "more than 11.5 degrees: 1: " in said
    with pytest.raises(
        DataError,
        match=r"poses\.csv leaves no recording of .*: 1 without a pose in .*, 3 turned",
    ):
        made(tmp_path / "none.jsonl", "lrw", folder, poses=table, within=1.0)
    with pytest.raises(UsageError, match="--within needs --poses"):
        made(tmp_path / "none.jsonl", "lrw", folder, within=1.0)


@pytest.mark.parametrize("corpus", ["lrw", "speech-commands", "sewa", "recola"])
def test_wrong_folders_say_what_was_looked_for(tmp_path, corpus):
    folder = touch(tmp_path / "corpus", "song.mp3", "notes.txt")
    with pytest.raises(DataError, match=r"files named like .*; found 1 other, such as song\.mp3"):
        made(tmp_path / "m.jsonl", corpus, folder)
