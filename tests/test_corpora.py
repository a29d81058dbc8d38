"""Corpus adapters on real folders, on copies of their layout, and on anybody's tables."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError, OutputExistsError, UsageError
from avaffect.data.corpora import cremad, emodb, ravdess
from avaffect.data.vocabulary import EMOTIONS


def test_emodb_agrees_with_the_list_of_recordings(recordings, tmp_path):
    found, said = made(tmp_path / "emodb.jsonl", "emodb", recordings / "emodb")
    with (recordings / "files.csv").open() as stream:
        listed = {
            row["path"]: (row["speaker"], row["emotion"])
            for row in csv.DictReader(stream)
            if row["path"].startswith("emodb/")
        }
    items = {
        f"emodb/{item['media']}": (item["speaker"], item["labels"]["emotion"])
        for item in found.items
    }
    assert items == listed and len(items) == 339
    assert "emodb: 339 of 535 utterances, 10 speakers" in said
    assert all((found.folder / item["media"]).is_file() for item in found.items)
    # erkennung.txt: "7 03a01Wa.wav 95,00 90,00", in Latin-1 with no-break spaces.
    labels = by_id(found)["emodb_03a01Wa"]["labels"]
    assert labels == {"emotion": "anger", "recognised": 95.0, "natural": 90.0}
    assert all("recognised" in item["labels"] for item in found.items)
    ages = {(item["speaker"], item["sex"], item["age"]) for item in found.items}
    assert ("emodb_03", "male", 31) in ages and ("emodb_09", "female", 21) in ages
    assert Counter(sex for _, sex, _ in ages) == {"male": 5, "female": 5}


def test_emodb_knows_seven_emotions_and_leaves_others_out(tmp_path):
    folder = touch(
        tmp_path / "corpus",
        *(f"wav/03a01{letter}a.wav" for letter in "WLEAFTN"),
        "wav/16b10N.wav",
        "wav/07a01Wa.wav",  # no such speaker
        "wav/03a01Xa.wav",  # no such emotion
        "wav/noise.wav",
        "wav/.03a01Wb.wav",
        "readme.txt",
    )
    found, said = made(tmp_path / "m.jsonl", "emodb", folder)
    assert {item["labels"]["emotion"] for item in found.items} == set(emodb.EMOTIONS.values())
    assert len(found) == 8
    assert found.header.to_dict()["labels"]["emotion"]["classes"] == [
        "anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness",
    ]  # fmt: skip
    assert "(03a01Wa.wav): 3: wav/03a01Xa.wav, wav/07a01Wa.wav, wav/noise.wav" in said
    with pytest.raises(DataError, match="3: wav/03a01Xa"):
        made(tmp_path / "strict.jsonl", "emodb", folder, strict=True)
    assert not (tmp_path / "strict.jsonl").exists()


def test_every_adapter_spells_emotions_alike():
    for adapter in (emodb, ravdess, cremad):
        assert set(adapter.EMOTIONS.values()) <= set(EMOTIONS)


def test_ravdess_speech(tmp_path):
    folder = touch(
        tmp_path / "corpus",
        "Actor_12/03-01-06-01-02-01-12.wav",
        "Actor_12/01-01-06-01-02-01-12.mp4",
        "Actor_12/02-01-06-01-02-01-12.mp4",
        "Actor_01/03-01-08-02-01-02-01.wav",
        "copy/Actor_01/03-01-08-02-01-02-01.wav",
        "Actor_02/01-01-01-01-01-01-02.mp4",
        "Actor_03/02-01-02-01-01-01-03.mp4",
        "Actor_01/03-02-04-01-01-01-01.wav",  # a song
        "Actor_01/03-01-09-01-01-01-01.wav",  # no such emotion
        "Actor_25/03-01-01-01-01-01-25.wav",  # no such actor
    )
    found, said = made(tmp_path / "m.jsonl", "ravdess", folder)
    items = by_id(found)
    assert list(items) == [f"ravdess_{key}" for key in (
        "01-01-01-01-01-02", "01-02-01-01-01-03", "01-06-01-02-01-12", "01-08-02-01-02-01",
    )]  # fmt: skip
    both = items["ravdess_01-06-01-02-01-12"]
    assert both["media"] == {
        "audio": "Actor_12/03-01-06-01-02-01-12.wav",
        "video": "Actor_12/01-01-06-01-02-01-12.mp4",
    }
    assert both["labels"] == {"emotion": "fear", "intensity": "normal"}
    assert (both["speaker"], both["sex"]) == ("ravdess_12", "female")
    assert both["text"] == "Dogs are sitting by the door."
    alone = items["ravdess_01-08-02-01-02-01"]
    assert alone["media"] == "Actor_01/03-01-08-02-01-02-01.wav"
    assert (alone["labels"]["intensity"], alone["sex"]) == ("strong", "male")
    assert alone["repetition"] == 2
    assert items["ravdess_01-01-01-01-01-02"]["media"].endswith(".mp4")
    assert "left out, song: 1: Actor_01/03-02-04" in said
    assert "left out, the same utterance again, in another format or place: 2: " in said
    assert "copy/Actor_01/03-01-08-02-01-02-01.wav" in said
    assert "named otherwise than RAVDESS's files" in said and "Actor_25" in said


def test_cremad_with_its_official_tables(recordings, tmp_path):
    found, said = made(
        tmp_path / "m.jsonl", "cremad", recordings / "cremad_samples",
        tables=recordings / "labels" / "crema-d",
    )  # fmt: skip
    items = by_id(found)
    assert len(items) == 10 and "cremad: 10 of 7442 utterances, 7 speakers" in said
    medium = items["cremad_1013_IEO_ANG_MD"]
    assert medium["labels"]["intensity"] == "medium"
    assert (medium["sex"], medium["age"]) == ("female", 22)
    assert "intensity" not in items["cremad_1013_ITH_ANG_XX"]["labels"]
    # summaryTable.csv: "D","62.75","N:S","54.5:47.0","D","55.57" and the like; ties are missing.
    with (recordings / "labels" / "crema-d" / "summaryTable.csv").open() as stream:
        votes = {row["FileName"]: row for row in csv.DictReader(stream)}
    names = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral",
             "S": "sadness"}  # fmt: skip
    ties = 0
    for key, item in items.items():
        row = votes[key.removeprefix("cremad_")]
        for column, label in cremad.PERCEIVED.items():
            assert item["labels"].get(label) == names.get(row[column])
            ties += ":" in row[column]
    assert ties == 2
    assert not any("votes" in label for label in found.header.to_dict()["labels"])


def test_cremad_without_tables_and_in_several_formats(tmp_path):
    folder = touch(
        tmp_path / "corpus",
        "AudioMP3/1001_DFA_ANG_XX.mp3",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "AudioWAV/1002_IEO_HAP_HI.wav",
        "AudioWAV/1002_IEO_BOR_HI.wav",
    )
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    touch(folder, "AudioWAV/1003_IEO_HAP_HI.wav", content=pointer)
    found, said = made(tmp_path / "m.jsonl", "cremad", folder)
    items = by_id(found)
    assert items["cremad_1001_DFA_ANG_XX"]["media"] == {
        "audio": "AudioWAV/1001_DFA_ANG_XX.wav",
        "video": "VideoFlash/1001_DFA_ANG_XX.flv",
    }
    assert set(items) == {"cremad_1001_DFA_ANG_XX", "cremad_1002_IEO_HAP_HI"}
    assert set(found.header.to_dict()["labels"]) == {"emotion", "intensity"}
    assert "Git LFS pointer" in said and "1002_IEO_BOR_HI" in said


def test_cremad_votes_are_counts_in_the_order_of_the_classes(tmp_path):
    folder = touch(tmp_path / "corpus", "1001_IEO_ANG_MD.wav", "1001_IEO_NEU_XX.wav")
    (folder / "tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName","numResponses"\n'
        '"100009",5,5,0,0,1,1,"1001_IEO_ANG_MD",12\n'
        '"300009",6,2,0,1,3,0,"1001_IEO_ANG_MD",12\n'
    )
    found, _ = made(tmp_path / "m.jsonl", "cremad", folder)
    classes = found.header.to_dict()["labels"]["votes"]["classes"]
    labels = by_id(found)["cremad_1001_IEO_ANG_MD"]["labels"]
    assert dict(zip(classes, labels["votes"])) == {
        "anger": 6, "disgust": 2, "fear": 0, "happiness": 1, "neutral": 3, "sadness": 0,
    }  # fmt: skip
    assert labels["votes_voice"] == [5, 5, 0, 0, 1, 1] and "votes_face" not in labels
    assert "votes" not in by_id(found)["cremad_1001_IEO_NEU_XX"]["labels"]


def test_a_broken_table_of_a_corpus_is_named(tmp_path):
    folder = touch(tmp_path / "corpus", "1001_IEO_ANG_MD.wav")
    (folder / "VideoDemographics.csv").write_text("ActorID,Age,Sex\n1001,51,Male\n")
    with pytest.raises(DataError, match=r"VideoDemographics.csv has no column 'Race'"):
        made(tmp_path / "m.jsonl", "cremad", folder)
    folder = touch(tmp_path / "emodb", "03a01Wa.wav")
    (folder / "erkennung.txt").write_text("Nr.\tSatz\n1\t03a01Wa.wav\n")
    with pytest.raises(DataError, match=r"erkennung.txt, line 2"):
        made(tmp_path / "m.jsonl", "emodb", folder)


@pytest.mark.parametrize("corpus", ["emodb", "ravdess", "cremad"])
def test_wrong_folders_say_what_was_looked_for(tmp_path, corpus):
    folder = touch(tmp_path / "corpus", "song.mp3", "notes.txt")
    with pytest.raises(DataError, match="files named like"):
        made(tmp_path / "m.jsonl", corpus, folder)
    with pytest.raises(DataError, match="no such folder"):
        made(tmp_path / "m.jsonl", corpus, tmp_path / "nowhere")
    with pytest.raises(DataError, match="a file, not a folder"):
        made(tmp_path / "m.jsonl", corpus, folder / "notes.txt")


def test_the_order_of_a_folder_and_its_place_do_not_matter(tmp_path):
    names = [f"{speaker}a01{letter}a.wav" for speaker in ("03", "08") for letter in "WF"]
    one = touch(tmp_path / "one" / "corpus", *names)
    two = touch(tmp_path / "two" / "corpus", *reversed(names))
    first, _ = made(tmp_path / "one" / "m.jsonl", "emodb", one)
    made(tmp_path / "two" / "m.jsonl", "emodb", two)
    outputs = [(tmp_path / n / "m.jsonl").read_bytes() for n in ("one", "two")]
    assert outputs[0] == outputs[1]
    assert str(tmp_path).encode() not in outputs[0]
    assert [item["id"] for item in first.items] == sorted(item["id"] for item in first.items)


def test_up_to_date_changed_and_forced(tmp_path):
    folder = touch(tmp_path / "corpus", "03a01Wa.wav")
    output = tmp_path / "m.jsonl"
    made(output, "emodb", folder)
    before = output.read_bytes()
    _, said = made(output, "emodb", folder)
    assert "is up to date" in said and output.read_bytes() == before
    touch(folder, "03a01Wa.wav", content=b"longer")
    with pytest.raises(OutputExistsError):
        made(output, "emodb", folder)
    assert output.read_bytes() == before
    found, _ = made(output, "emodb", folder, force=True)
    assert len(found) == 1 and output.read_bytes() != before


TABLE = """utt,path,spk,emo,valence,part
u1,wav/a.wav,s1,angry,0.5,train
u2,wav/b.wav,s1,happiness,nan,test
u3,wav/c.wav,,NA,0.25,
u4,wav/gone.wav,s2,angry,1,
"""


def table(tmp_path: Path, text: str = TABLE, name: str = "mine.csv") -> Path:
    touch(tmp_path, "wav/a.wav", "wav/b.wav", "wav/c.wav")
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


COLUMNS = {"id_column": "utt", "media_column": "path", "speaker": "spk", "split": "part"}


def test_table(tmp_path):
    found, said = made(
        tmp_path / "m.jsonl", "table", table(tmp_path), **COLUMNS, label=("emotion=emo",),
        scalar=("valence",), map=("angry=anger",), prefix="mine",
    )  # fmt: skip
    assert found.header.to_dict()["corpus"] == "mine"
    assert found.header.to_dict()["labels"] == {
        "emotion": {"kind": "class", "classes": ["anger", "happiness"]},
        "valence": {"kind": "scalar"},
    }
    rest = [{k: v for k, v in item.items() if k != "kind"} for item in found.items]
    assert rest == [
        {"id": "mine_u1", "media": "wav/a.wav", "speaker": "mine_s1", "split": "train",
         "labels": {"emotion": "anger", "valence": 0.5}},
        {"id": "mine_u2", "media": "wav/b.wav", "speaker": "mine_s1", "split": "test",
         "labels": {"emotion": "happiness"}},
        {"id": "mine_u3", "media": "wav/c.wav", "labels": {"valence": 0.25}},
    ]  # fmt: skip
    assert "the recording is not there: 1: line 5" in said
    assert "emotion: anger 1, happiness 1; missing 1" in said
    assert "valence: 2; missing 1" in said
    found, said = made(
        tmp_path / "all.jsonl", "table", tmp_path / "mine.csv", **COLUMNS, no_check_media=True
    )
    assert found.items[3]["media"] == "wav/gone.wav" and "not there" not in said


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace(",", "\t"),
        TABLE.replace(",", ";"),
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("u1,", '"u1",').replace("angry", '" angry "'),
        TABLE.replace("s1,angry", "s1,angry\n", 1).replace("angry\n,", "angry,", 1) + "\n\n",
    ],
)
def test_tables_of_other_dialects(tmp_path, text):
    found, _ = made(
        tmp_path / "m.jsonl", "table", table(tmp_path, text), **COLUMNS, label=("emotion=emo",)
    )
    assert [item["id"] for item in found.items] == ["u1", "u2", "u3"]
    assert found.items[0]["labels"] == {"emotion": "angry"}


def test_table_ids_from_files_times_films_and_fields(tmp_path):
    path = table(
        tmp_path,
        "path,film,from,to,words,session,fold\n"
        "wav/a.wav,wav/b.wav,0.5,2,Grüße \U0001f600,7,3\n"
        f"{tmp_path}/wav/c.wav,,,,,8,\n"
        "wav/b.wav,,3,1,,,\n"
        "wav/b.wav,,-1,1,,,\n",
    )
    found, said = made(
        tmp_path / "lists.jsonl", "table", path, media_column="path", video_column="film",
        start="from", end="to", session="session", field=("text=words", "fold"),
    )  # fmt: skip
    first, second = found.items
    assert first["id"] == "a" and first["media"] == {"audio": "wav/a.wav", "video": "wav/b.wav"}
    assert (first["start"], first["end"], first["text"]) == (0.5, 2.0, "Grüße \U0001f600")
    assert (first["session"], first["fold"]) == ("7", "3")
    assert second["media"] == "wav/c.wav" and "text" not in second
    assert "the end is not after the start: 1: line 4" in said
    assert "start or end is no time in seconds: 1: line 5" in said


@pytest.mark.parametrize(
    ("text", "options", "error", "said"),
    [
        (TABLE, {"speaker": "who"}, DataError, "no column 'who' .it has: utt, path, spk"),
        (TABLE.replace("u2", "u1"), {}, DataError, "lines 2 and 3 have the same id u1"),
        (TABLE, {"strict": True}, DataError, "the recording is not there: 1: line 5"),
        (TABLE.replace("wav/", "gone/"), {}, DataError, "no usable row.*--root"),
        ("utt,path,spk,emo,valence,part\n", {}, DataError, "no usable row"),
        ("", {}, DataError, "is empty"),
        (TABLE.replace("spk", "utt"), {"speaker": None}, DataError, "2 columns called 'utt'"),
        (TABLE, {"scalar": ("valence=emo",)}, DataError, "no row has a number for valence"),
        (
            TABLE,
            {"map": ("sad=sadness",), "label": ("emo",)},
            DataError,
            "no class or split sad to map",
        ),
        (TABLE, {"media_column": None}, UsageError, "--media COLUMN"),
        (TABLE, {"label": ("a=emo", "a=emo")}, UsageError, "given twice"),
        (TABLE, {"label": ("=emo",)}, UsageError, "two names"),
        (TABLE, {"label": ("emo",), "scalar": ("emo",)}, UsageError, "--label and as --scalar"),
        (TABLE, {"field": ("speaker=spk",)}, UsageError, "its own option"),
        (TABLE, {"end": "valence"}, UsageError, "--end needs --start"),
        (TABLE, {"tables": Path(".")}, UsageError, "--tables does not apply to table"),
        (TABLE, {"root": Path("nowhere")}, DataError, "nowhere: no such folder"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, options, error, said):
    with pytest.raises(error, match=said):
        made(tmp_path / "m.jsonl", "table", table(tmp_path, text), **{**COLUMNS, **options})
    assert not (tmp_path / "m.jsonl").exists()


def test_one_bad_number_is_counted_not_fatal(tmp_path):
    text = TABLE.replace("0.25", "about a quarter")
    found, said = made(
        tmp_path / "m.jsonl", "table", table(tmp_path, text), **COLUMNS, scalar=("valence",)
    )
    assert len(found) == 3
    assert "valence is not a number (kept without it): 1: line 4" in said


def test_a_table_in_another_encoding_is_named(tmp_path):
    path = table(tmp_path)
    path.write_bytes(TABLE.replace("happiness", "fröhlich").encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8 text"):
        made(tmp_path / "m.jsonl", "table", path, **COLUMNS)


def test_options_of_tables_are_refused_for_corpora(tmp_path):
    folder = touch(tmp_path / "corpus", "03a01Wa.wav")
    with pytest.raises(UsageError, match="--media does not apply to emodb"):
        made(tmp_path / "m.jsonl", "emodb", folder, media_column="path")
    with pytest.raises(UsageError, match="unknown corpus 'iemocap2'; known: emodb, ravdess"):
        made(tmp_path / "m.jsonl", "iemocap2", folder)


def test_command_line(avaffect, shell, tmp_path):
    path = table(tmp_path)
    found = shell(
        "avaffect manifest table mine.csv --id utt --media path --speaker spk --label emotion=emo "
        "| avaffect select --where emotion=angry | jq -r .id",
        tmp_path,
    )
    assert found.stdout.split() == ["null", "u1", "null"]
    assert "--map angry=anger" in found.stderr

    output = tmp_path / "out.jsonl"
    arguments = ["manifest", "table", path, "--media", "path", "-o", output]
    dry = avaffect(*arguments, "-n")
    assert "would write 3 items" in dry.stderr and not output.exists()
    avaffect(*arguments)
    avaffect(*arguments)
    avaffect(*arguments, "--label", "emotion=emo", status=73)
    avaffect(*arguments, "--strict", "-f", status=65)
    avaffect("manifest", "ravdess", tmp_path, "--media", "x", status=2)
    assert json.loads(output.read_text().splitlines()[-1])["count"] == 3
