"""What raters heard: MSP-Podcast, CREMA-D's official tables and majorities, MSP-IMPROV's scales."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from corpus_folders import by_id, made, touch

from avaffect.core.errors import DataError
from avaffect.data.corpora import msp_podcast

CONSENSUS = """FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
MSP-PODCAST_0001_0008.wav,N,2.200000,4.000000,2.600000,127,Male,Test1
MSP-PODCAST_0002_0059.wav,X,5.5,1,7,128,Female,Train
MSP-PODCAST_0003_0271_0001.wav,U,4,4,4,Unknown,Unknown,Validation
MSP-PODCAST_0009_0001.wav,A,4,4,,12,Female,Development
"""
# The first turn again, in another partition.
OTHERWISE = CONSENSUS.splitlines()[1].replace("Test1", "Train")
AUDIOS = ("MSP-PODCAST_0001_0008.wav", "MSP-PODCAST_0002_0059.wav",
          "MSP-PODCAST_0003_0271_0001.wav", "MSP-PODCAST_test3_0001.wav")  # fmt: skip
LINES = """MSP-PODCAST_0001_0008.wav; N; A:2.200000; V:4.000000; D:2.600000;
WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:3.000000;
WORKER0000002; Happy; Happy,Amused,Other-glad, relieved; A:3.0; V:4.0; D:2.0;
WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:3.000000;
WORKER0000003; Other-bored; ; A:3.0; V:4.0; D:2.0;

MSP-PODCAST_0002_0059.wav; X; A:5.5; V:1; D:7;
WORKER0000001; Angry; Angry,Annoyed,Annoyed; A:5.5; V:1.0; D:7.0;
"""
DETAILED = 'FileName,EmoDetail\n' + "".join(
    f'MSP-PODCAST_0001_0008.wav,"{line}"\n' for line in LINES.splitlines()[1:5]
) + f'MSP-PODCAST_0002_0059.wav,"{LINES.splitlines()[7]}"\n'  # fmt: skip
COLUMNS = """FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct
MSP-PODCAST_0001_0008.wav,WORKER0000001,Neutral,"Neutral,Confused",1
MSP-PODCAST_0001_0008.wav,WORKER0000002,Happy,"Happy,Amused,Other-glad, relieved",3
MSP-PODCAST_0001_0008.wav,WORKER0000001,Neutral,"Neutral,Confused",1
MSP-PODCAST_0001_0008.wav,WORKER0000003,Other-bored,,3
MSP-PODCAST_0002_0059.wav,WORKER0000001,Angry,"Angry,Annoyed,Annoyed",5
"""


def podcast(tmp_path, **tables: str):
    folder = touch(tmp_path / "podcast", *(f"Audios/{name}" for name in AUDIOS))
    (folder / "Labels").mkdir(exist_ok=True)
    for name, text in tables.items():
        suffix = "txt" if name.lower() == "labels" else "csv"
        (folder / "Labels" / f"{name}.{suffix}").write_text(text)
    return folder


@pytest.mark.parametrize(
    "raters",
    [{"labels": LINES}, {"Labels": LINES}, {"labels_detailed": DETAILED},
     {"labels_detailed": COLUMNS}, {"labels_detailed": COLUMNS.replace("WorkerID", "Workers")}],
    ids=["labels.txt", "Labels.txt", "lines", "columns", "older columns"],
)  # fmt: skip
def test_msp_podcast(tmp_path, raters):
    folder = podcast(tmp_path, labels_consensus=CONSENSUS, **raters)
    found, said = made(tmp_path / "m.jsonl", "msp-podcast", folder)
    items, labels = by_id(found), found.header.to_dict()["labels"]
    assert list(items) == [f"msp-podcast_{n[12:-4]}" for n in AUDIOS]
    assert labels["emotion"]["classes"] == [
        "anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
        "other",
    ]  # fmt: skip
    first = items["msp-podcast_0001_0008"]
    assert first["labels"].pop("votes") == [0, 0, 0, 0, 1, 1, 0, 0, 1]
    heard = dict(zip(labels["secondary"]["classes"], first["labels"].pop("secondary")))
    assert {name: n for name, n in heard.items() if n} == {
        "neutral": 1, "confusion": 1, "happiness": 1, "amusement": 1, "other": 1,
    }  # fmt: skip
    assert (first["split"], first["partition"], first["speaker"], first["sex"]) == (
        "test", "Test1", "msp-podcast_127", "male",
    )  # fmt: skip
    assert first["labels"]["emotion"] == "neutral" and first["labels"]["arousal"] == 2.2
    second, third = items["msp-podcast_0002_0059"], items["msp-podcast_0003_0271_0001"]
    assert "emotion" not in second["labels"] and second["labels"]["dominance"] == 7.0
    assert second["labels"]["votes"] == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert sum(second["labels"]["secondary"]) == 2
    assert third["labels"]["emotion"] == "surprise" and third["split"] == "development"
    assert "speaker" not in third and "sex" not in third
    assert items["msp-podcast_test3_0001"]["labels"] == {}
    assert "labelled, but no recording is there: 1: 0009_0001" in said
    assert "kept without labels" in said and "test3_0001" in said
    assert "partition: Test1 1, Train 1, Validation 1" in said


def test_raters_without_names_count_each(tmp_path):
    rows = [f"{AUDIOS[0]},{rater},Sad,Sad" for rater in ("", "", "W1", "W1")]
    names = "FileName,WorkerID,EmoClass_Major,EmoClass_Second"
    twice = "\n".join([CONSENSUS.rstrip(), CONSENSUS.splitlines()[1], ""])
    folder = podcast(tmp_path, labels_consensus=twice,
                     labels_detailed="\n".join([names, *rows, ""]))  # fmt: skip
    found, _ = made(tmp_path / "m.jsonl", "msp-podcast", folder)
    assert sum(by_id(found)["msp-podcast_0001_0008"]["labels"]["votes"]) == 3


def test_a_rater_without_a_choice_has_no_vote(tmp_path):
    """It is no vote for another emotion."""
    for number, detailed in enumerate((DETAILED, COLUMNS)):
        chosen = detailed.replace("Other-bored", "")
        folder = podcast(tmp_path, labels_consensus=CONSENSUS, labels_detailed=chosen)
        found, _ = made(tmp_path / f"{number}.jsonl", "msp-podcast", folder)
        labels = by_id(found)["msp-podcast_0001_0008"]["labels"]
        classes = found.header.to_dict()["labels"]["votes"]["classes"]
        votes = dict(zip(classes, labels["votes"]))
        assert votes["other"] == 0 and sum(votes.values()) == 2
        assert sum(labels["secondary"]) == 5
    folder = touch(tmp_path / "improv", "MSP-IMPROV-S01A-F01-P-FM01.wav")
    (folder / "Evaluation.txt").write_text(
        "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3; V:3; D:3; N:4;\nW1; Happy; Happy;\nW2; ; ;\n"
    )
    found, _ = made(tmp_path / "improv.jsonl", "msp-improv", folder)
    assert sum(found.items[0]["labels"]["votes"]) == 1


def test_msp_podcast_without_tables(tmp_path):
    folder = podcast(tmp_path)
    found, said = made(tmp_path / "m.jsonl", "msp-podcast", folder)
    assert len(found) == 4 and found.header.to_dict()["labels"] == {}
    assert "no labels_consensus.csv" in said
    tables = podcast(tmp_path / "elsewhere", labels_consensus=CONSENSUS)
    found, _ = made(tmp_path / "n.jsonl", "msp-podcast", folder, tables=tables)
    assert set(found.header.to_dict()["labels"]) == {"emotion", *msp_podcast.ATTRIBUTES.values()}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"labels_consensus": CONSENSUS.replace(",U,", ",Q,")}, r"csv, line 4: .*'Q'"),
        ({"labels_consensus": CONSENSUS.replace(",7,128", ",8,128")}, r"line 3: dominance is 8"),
        ({"labels_consensus": CONSENSUS.replace("2.6", "much")}, r"line 2: dominance is 'much"),
        ({"labels_consensus": CONSENSUS.replace("Test1", "Exam")}, r"line 2: .*'Exam'"),
        ({"labels_consensus": CONSENSUS.replace("MSP-PODCAST_0002", "X")}, r"line 3: 'X_0059"),
        ({"labels_consensus": f"{CONSENSUS.rstrip()}\n{OTHERWISE}\n"}, r"listed before"),
        (
            {"labels": LINES.replace("; Angry,Annoyed,Annoyed; A:5.5; V:1.0; D:7.0;", "")},
            r"txt, line 8: .*rating",
        ),
        ({"labels": LINES.split("\n", 1)[1]}, r"txt, line 1: expected MSP-PODCAST"),
    ],
)
def test_broken_tables_of_msp_podcast(tmp_path, tables, said):
    folder = podcast(tmp_path, **({"labels_consensus": CONSENSUS} | tables))
    with pytest.raises(DataError, match=said):
        made(tmp_path / "m.jsonl", "msp-podcast", folder)


def test_msp_improv_outside_of_its_scale_and_its_scenarios(tmp_path):
    folder = touch(tmp_path / "improv", "MSP-IMPROV-S01A-F01-P-FM01.wav",
                   "MSP-IMPROV-S01A-F01-R-FF01.wav", "MSP-IMPROV-S01A-M01-R-MM01.wav")  # fmt: skip
    line = "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.5; D:{}; N:4.0;\n"
    (folder / "Evaluation.txt").write_text(line.format(5.0))
    _, said = made(tmp_path / "m.jsonl", "msp-improv", folder)
    assert "scenario: between the scenes 1, read 2" in said
    (folder / "Evaluation.txt").write_text(line.format(5.5))
    with pytest.raises(DataError, match=r"line 1: dominance is 5\.5; its scale"):
        made(tmp_path / "n.jsonl", "msp-improv", folder)


def test_cremad_majorities(tmp_path):
    folder = touch(tmp_path / "corpus", "1001_IEO_ANG_MD.wav", "1001_IEO_NEU_XX.wav")
    (folder / "tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName","numResponses"\n'
        '"100009",5,5,0,0,1,1,"1001_IEO_ANG_MD",12\n'
        '"200009",0,0,7,0,5,0,"1001_IEO_ANG_MD",12\n'
        '"300009",6,2,0,1,3,0,"1001_IEO_ANG_MD",12\n'
        '"300010",0,1,0,0,6,4,"1001_IEO_NEU_XX",11\n'
    )
    found, said = made(tmp_path / "m.jsonl", "cremad", folder)
    first, second = (by_id(found)[f"cremad_1001_IEO_{n}"]["labels"] for n in ("ANG_MD", "NEU_XX"))
    # Six of twelve are no majority, six of eleven are.
    assert "majority" not in first and "majority_voice" not in first
    assert first["majority_face"] == "fear" and second["majority"] == "neutral"
    assert "majority: neutral 1; missing 1" in said


def test_cremad_as_a_whole_by_its_official_tables(recordings, tmp_path):
    """VAVL's classes: perceived from audio and video, of 7,442 utterances of 48 men and 43 women
    (Cao et al. 2014)."""
    tables = recordings / "labels" / "crema-d"
    if not (tables / "SentenceFilenames.csv").is_file():
        pytest.skip(f"CREMA-D's official tables are not in {tables}")
    with (tables / "SentenceFilenames.csv").open() as stream:
        names = [f"AudioWAV/{row['Filename']}.wav" for row in csv.DictReader(stream)]
    folder = touch(tmp_path / "corpus", *names)
    found, said = made(tmp_path / "m.jsonl", "cremad", folder, tables=tables)
    assert "cremad: 7442 utterances, 91 speakers" in said
    actors = {item["speaker"]: item["sex"] for item in found.items}
    assert Counter(actors.values()) == {"male": 48, "female": 43}
    labels = [item["labels"] for item in found.items]
    assert Counter(label.get("perceived") for label in labels) == {
        "neutral": 1972, "happiness": 1219, "disgust": 1139, "fear": 1084, "anger": 1019,
        "sadness": 589, None: 420,
    }  # fmt: skip
    assert sum("most_voted" in label for label in labels) == 7442
