"""`eval-class` on tables of other programs: which columns and ids are meant, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from corpus_folders import Spoken, made, touch

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes.eval_class import eval_class
from avaffect.recipes.scoring.reports.classes import ClassReport
from avaffect.settings.eval_class import EvalClassSettings

# Accuracy 3/4.
ROWS = [("a", "anger", "anger"), ("b", "joy", "joy"), ("c", "joy", "anger"), ("d", "fear", "fear")]


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def scored(path: Path, *gold: Path, **options) -> tuple[ClassReport, str]:
    said = Spoken()
    (report,) = eval_class(EvalClassSettings(predictions=(path,), gold=gold, **options), said)
    return report, said.text


def both(header: str, line: str = "wav/{0}.wav,{2},{1}") -> list[str]:
    """line: of id, true class and prediction."""
    return [header, *(line.format(*row) for row in ROWS)]


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (both("file,prediction,gold"), {}),
        (both("file,predicted,emotion"), {}),
        (both("File Name;y_pred;y_true", "{0};{2};{1}"), {}),
        (both("sep=|\nwav|Predicted Label|label", "{0}|{2}|{1}"), {}),
        (both("pred\ttruth", "{2}\t{1}"), {}),
        (both(",targets,predictions", "0,{1},{2}"), {}),
        (both("file,emotion_pred,emotion_true"), {}),
        (both("utt,model_b,emo"), {"label": "model_b=emo"}),
        (both("utt,pred,emo"), {"label": "emo"}),
        (both("utt,pred,emotion,mood", "{0},{2},x,{1}"), {"label": "pred=mood"}),
        (both("name,clip,pred,gold", "anna,{0},{2},{1}"), {}),
        (both("clip number,pred,gold", "{0},{2},{1}"), {"id_column": "clip number"}),
    ],
)
def test_columns_by_name_or_option(lines, options, tmp_path):
    report, _ = scored(table(tmp_path / "p.csv", *lines), **options)
    assert (report.accuracy, report.count) == (0.75, 4)
    assert report.confusion.classes == ("anger", "fear", "joy")


GOLD = ["file,emotion", *(f"audio/{i}.wav,{true}" for i, true, _ in ROWS)]
PREDICTED = ["id,emotion", *(f"{i},{predicted}" for i, _, predicted in ROWS)]


@pytest.mark.parametrize(
    ("predicted", "gold", "options"),
    [
        (PREDICTED, GOLD, {}),
        (["utt,pred", *PREDICTED[1:]], GOLD, {}),
        (PREDICTED, ["file\temo", *(line.replace(",", "\t") for line in GOLD[1:])],
         {"label": "emotion=emo"}),
        # Windows' paths with suffix, and a corpus's name before the names of files.
        (["path,pred", *(f"C:\\x\\{i}.WAV,{p}" for i, _, p in ROWS)], GOLD, {}),
        (["id,pred", *(f"mine_{i},{p}" for i, _, p in ROWS)], GOLD, {}),
        (["clip no,pred", *PREDICTED[1:]], GOLD, {"id_column": "clip no"}),
        # Numbers of rows that are no ids.
        (["id,file,pred", *(f"{k},{i}.wav,{p}" for k, (i, _, p) in enumerate(ROWS))], GOLD, {}),
        # The same names in two folders.
        (["file,pred", "x/a.wav,anger", "y/a.wav,joy", "x/b.wav,anger", "y/b.wav,fear"],
         ["file,emotion", "x/a.wav,anger", "y/a.wav,joy", "x/b.wav,joy", "y/b.wav,fear"], {}),
    ],
)  # fmt: skip
def test_gold_in_another_table(predicted, gold, options, tmp_path):
    path = table(tmp_path / "p.csv", *predicted)
    report, _ = scored(path, table(tmp_path / "g.csv", *gold), **options)
    assert (report.accuracy, report.count) == (0.75, 4)


def test_gold_in_a_manifest_and_predictions_in_a_manifest(tmp_path):
    touch(tmp_path, *(f"audio/{i}.wav" for i, _, _ in ROWS))
    gold = table(tmp_path / "g.csv", *GOLD)
    made(tmp_path / "m.jsonl", "table", gold, media_column="file", label=("emotion",), prefix="m")
    path = table(tmp_path / "p.csv", *PREDICTED)
    report, _ = scored(path, tmp_path / "m.jsonl")
    assert report.accuracy == 0.75
    header = manifest.new_header("predictions", target="emotion")
    items = [{"id": f"m_{i}", "prediction": p} for i, _, p in ROWS]
    manifest.write(tmp_path / "p.jsonl", header, items)
    report, said = scored(tmp_path / "p.jsonl", gold)
    assert report.accuracy == 0.75 and "m_a is a" in said


def test_gold_whose_ids_are_others_is_found_by_its_recordings(tmp_path):
    touch(tmp_path, *(f"audio/{i}.wav" for i, _, _ in ROWS))
    lines = [f"u{k},audio/{i}.wav,{true},{k % 2 + 1}" for k, (i, true, _) in enumerate(ROWS)]
    made(
        tmp_path / "m.jsonl", "table", table(tmp_path / "g.csv", "utt,file,emotion,day", *lines),
        media_column="file", id_column="utt", label=("emotion",), session="day",
    )  # fmt: skip
    for names in (["file,pred", *(f"/x/audio/{i}.wav,{p}" for i, _, p in ROWS)], PREDICTED):
        report, said = scored(table(tmp_path / "p.csv", *names), tmp_path / "m.jsonl")
        assert (report.accuracy, report.count) == (0.75, 4) and "prefix" not in said
    with store_writer(tmp_path / "s.h5", {}, labels={"emotion": LabelSpec("class", ("anger", "fear",
                      "joy"))}) as writer:  # fmt: skip
        for k, (i, true, _) in enumerate(ROWS):
            meta = {"source": f"audio/{i}.wav", "session": str(k % 2 + 1)}
            writer.add(f"u{k}", labels={"emotion": true}, meta=meta)
    report, _ = scored(tmp_path / "p.csv", tmp_path / "s.h5")
    assert (report.accuracy, report.count) == (0.75, 4)
    for gold in ("m.jsonl", "s.h5"):
        report, _ = scored(tmp_path / "p.csv", tmp_path / gold, by=("session",))
        assert report.groups is not None
        assert [(g.value, g.count) for g in report.groups["session"]] == [("1", 2), ("2", 2)]


def test_numbers_of_rows_in_two_tables_of_gold_are_no_ids(tmp_path):
    files = [
        table(tmp_path / f"g{k}.csv", "file,name,emotion", f"{i}.wav,0,{true}")
        for k, (i, true, _) in enumerate(ROWS)
    ]
    report, _ = scored(table(tmp_path / "p.csv", *PREDICTED), *files)
    assert (report.accuracy, report.count) == (0.75, 4)


def test_parts_of_recordings_are_told_apart_by_their_times(tmp_path):
    gold = table(
        tmp_path / "g.csv", "file,start,end,emotion", "a.wav,0 days,0 days 00:00:01,joy",
        "a.wav,0 days 00:00:01,NaT,fear", "b.wav,0 days,NaT,joy",
    )  # fmt: skip
    # Of a, one part alone is predicted.
    path = table(tmp_path / "p.csv", "file;start;end;pred", "a.wav;1,0;-1;fear", "b.wav;0;;fear")
    report, _ = scored(path, gold)
    assert (report.count, report.accuracy) == (2, 0.5)
    touch(tmp_path, "a.wav", "b.wav")
    made(tmp_path / "m.jsonl", "table", gold, media_column="file", label=("emotion",),
         start="start", end="end")  # fmt: skip
    report, _ = scored(path, tmp_path / "m.jsonl")
    assert (report.count, report.accuracy) == (2, 0.5)


def test_splits_runs_and_missing_gold(tmp_path):
    path = table(
        tmp_path / "p.csv", "id,pred,gold,set,run", "a,joy,joy,Test,1", "b,joy,fear,Test,1",
        "a,joy,joy,Test,2", "b,fear,fear,Test,2", "c,joy,,Test,1", "d,joy,joy,Train,1",
    )  # fmt: skip
    report, _ = scored(path)
    assert (report.split, report.count, report.missing_gold) == ("test", 2, 1)
    assert [(run.run, run.accuracy) for run in report.runs] == [(1, 0.5), (2, 1.0)]
    report, _ = scored(path, split="train")
    assert report.count == 1


def test_numbers_as_classes(tmp_path):
    gold = table(tmp_path / "g.csv", "id,label", "a,0", "b,1")
    report, _ = scored(table(tmp_path / "p.csv", "id,pred", "a,0.0", "b,0.0"), gold)
    assert report.accuracy == 0.5


REFUSED = [
    (["id,score", "a,0.5"], [], {}, "no column of predictions.*--label NAME=OTHER"),
    (["id,pred", "a,joy"], [], {}, "no column of gold classes.*--gold"),
    (["id,pred", "a,joy"], [], {"label": "pred=emo"}, "no column 'emo' .it has: id, pred"),
    (["id,pred,gold", "a,joy,joy", "b,,joy"], [], {}, "line 3: pred is missing"),
    (["id,pred,gold", "a,joy,joy", "a,joy,joy"], [], {}, "lines 2 and 3 are both a by column 'id'"),
    (["x,pred", "a,joy"], GOLD, {}, "no column of ids.*--id"),
    (["id,pred", "z,joy"], GOLD, {}, "no utterance in common: predictions are of z, the gold is"),
    (["id,pred", "a,joy"], ["id,x", "a,joy"], {}, "no column of gold classes"),
]


@pytest.mark.parametrize(("predicted", "gold", "options", "words"), REFUSED)
def test_what_cannot_be_scored_is_named(predicted, gold, options, words, tmp_path):
    path = table(tmp_path / "p.csv", *predicted)
    others = [table(tmp_path / "g.csv", *gold)] if gold else []
    with pytest.raises(DataError, match=words):
        scored(path, *others, **options)


def test_doubts_are_said(tmp_path):
    path = table(tmp_path / "p.csv", "id,pred,gold", "a,angry,Angry", "b,joy,happiness")
    report, said = scored(path)
    assert report.accuracy == 0.0
    assert "--classes happiness,angry=Angry+angry,joy makes them one" in said
    assert "no predicted class (angry, joy) is a gold one (happiness, Angry)" in said
    report, said = scored(path, classes="angry=angry+Angry,joy=joy+happiness")
    assert report.accuracy == 1.0 and "no predicted" not in said and "alike" not in said


def test_one_class_under_two_names_among_others_that_agree(tmp_path):
    lines = ("id,pred,gold", "a,anger,anger", "b,joy,happiness", "c,fear,fear")
    said = scored(table(tmp_path / "p.csv", *lines))[1]
    assert "joy predicted but never in the gold, happiness in the gold but never predicted" in said
    assert "--classes lists all classes with happiness=joy+happiness" in said
    # A class that is never predicted, or never true, is no doubt by itself.
    for rest in ("d,happiness,happiness", "d,joy,joy"):
        assert "never" not in scored(table(tmp_path / "p.csv", *lines, rest))[1]


def test_the_command_line_compares_a_table_with_a_manifest(avaffect, tmp_path):
    header = manifest.new_header("predictions", target="emotion", classes=["anger", "fear", "joy"])
    items = [{"id": i, "prediction": p, "gold": t} for i, t, p in ROWS]
    manifest.write(tmp_path / "ours.jsonl", header, items)
    theirs = table(tmp_path / "theirs.csv", *both("file,pred,emotion"))
    # JSON Lines under the name of a table are what they are.
    (tmp_path / "ours.csv").write_bytes((tmp_path / "ours.jsonl").read_bytes())
    found = avaffect("eval-class", tmp_path / "ours.csv", theirs, "--json").stdout
    reports = [json.loads(line) for line in found.splitlines()]
    assert [report["accuracy"] for report in reports] == [0.75, 0.75]
    assert reports[0]["confusion"] == reports[1]["confusion"]


def test_gold_that_is_not_predicted_is_counted(tmp_path: Path) -> None:
    """By utterances, not by the names that they have besides."""
    known = [f"wav/{i}.wav,{true}" for i, true, _ in ROWS]
    gold = table(tmp_path / "gold.csv", "file,gold", *known, "wav/e.wav,joy", "wav/f.wav,")
    rows = [f"{i}.wav,{predicted}" for i, _, predicted in ROWS]
    report, said = scored(table(tmp_path / "p.csv", "file,pred", *rows), gold)
    assert report.count == 4 and "4 of 5 utterances with gold are scored" in said
    _, said = scored(table(tmp_path / "q.csv", "file,pred", *rows, "e.wav,joy"), gold)
    assert "with gold" not in said
