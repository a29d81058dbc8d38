"""`eval-ccc` on tables of other programs: numbers of utterances, a column per label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus_folders import Spoken, made, touch

from avaffect.core import seeds
from avaffect.core.errors import DataError, UsageError
from avaffect.data import manifest
from avaffect.evaluation import concordance
from avaffect.recipes.eval_ccc import eval_ccc
from avaffect.recipes.scoring.reports.traces import ScalarReport
from avaffect.settings.eval_ccc import EvalCccSettings

IDS = ("a", "b", "c", "d")
GOLD = {"arousal": (0.1, 0.4, 0.6, 0.9), "valence": (0.2, 0.9, 0.3, 0.5)}
PREDICTED = {"arousal": (0.2, 0.3, 0.7, 0.8), "valence": (0.1, 0.5, 0.4, 0.5)}
CCC = {name: concordance.ccc(np.array(PREDICTED[name]), np.array(GOLD[name])) for name in GOLD}


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lines(header: str, line: str) -> list[str]:
    """line: of an id, predicted arousal and valence, and true ones."""
    columns = zip(*PREDICTED.values(), *GOLD.values(), strict=True)
    return [header, *(line.format(i, *row) for i, row in zip(IDS, columns, strict=True))]


def scored(path: Path, *gold: Path, **options) -> tuple[ScalarReport, str]:
    said = Spoken()
    (report,) = eval_ccc(EvalCccSettings(predictions=(path,), gold=gold, **options), said)
    assert isinstance(report, ScalarReport)
    return report, said.text


BOTH = "{0},{1},{2},{3},{4}"


@pytest.mark.parametrize(
    ("of", "options", "labels"),
    [
        (lines("id,pred_arousal,pred_valence,arousal,valence", BOTH), {}, ["arousal", "valence"]),
        (lines("file,Arousal_pred,Valence_pred,Arousal_true,Valence_true", f"x/{BOTH}"), {},
         ["Arousal", "Valence"]),
        (lines("predicted arousal;predicted valence;gold arousal;gold valence", "{1};{2};{3};{4}"),
         {}, ["arousal", "valence"]),
        (lines("utt,prediction,gold", "{0},{1},{3}"), {}, ["gold"]),
        (lines("utt,prediction,arousal,valence", "{0},{1},{3},{4}"), {"label": ("arousal",)},
         ["arousal"]),
        (lines("utt,model_a,model_v,aro,val", BOTH),
         {"label": ("model_a=aro", "model_v=val")}, ["aro", "val"]),
        (lines("id,pred_arousal,pred_valence,arousal,valence", BOTH), {"label": ("valence",)},
         ["valence"]),
    ],
)  # fmt: skip
def test_columns_by_name_or_option(of, options, labels, tmp_path):
    report, _ = scored(table(tmp_path / "p.csv", *of), **options)
    assert list(report.labels) == labels and report.count == 4
    for label in labels:
        meant = "valence" if label.lower().startswith("val") else "arousal"
        assert report.pooled[label].ccc == pytest.approx(CCC[meant])


PLAIN = lines("id,arousal,valence", "{0},{1},{2}")
TRUE = lines("file,arousal,valence,age,emotion", "audio/{0}.wav,{3},{4},30,joy")


@pytest.mark.parametrize(
    ("predicted", "gold", "options"),
    [
        (PLAIN, TRUE, {}),
        (lines("path,pred_arousal,pred_valence", "C:\\x\\{0}.WAV,{1},{2}"), TRUE, {}),
        (lines("id;arousal;valence", "mine_{0};{1};{2}"), TRUE, {}),
        (lines("clip no,arousal,valence", "{0},{1},{2}"), TRUE, {"id_column": "clip no"}),
        (lines("row,name,arousal,valence,age", "7,{0},{1},{2},30"), TRUE, {}),
    ],
)
def test_gold_in_another_table(predicted, gold, options, tmp_path):
    path = table(tmp_path / "p.csv", *predicted)
    report, _ = scored(path, table(tmp_path / "g.csv", *gold), **options)
    assert {name: of.ccc for name, of in report.pooled.items()} == pytest.approx(CCC)
    assert report.count == 4 and len(report.gold) == 1


def test_decimal_commas_splits_runs_and_missing_gold(tmp_path):
    gold = table(tmp_path / "g.csv", "id;arousal", "a;0,1", "b;0,4", "c;0,6", "d;", "e;0,5")
    rows = [f"{i};{set_};{run};0,{run}{k}" for run in (1, 2)
            for k, (i, set_) in enumerate((("a", "test"), ("b", "test"), ("c", "Test"),
                                           ("d", "test"), ("e", "train")), 3)]  # fmt: skip
    path = table(tmp_path / "p.csv", "id;set;run;arousal", *rows)
    report, _ = scored(path, gold)
    assert (report.split, report.count, report.missing_gold) == ("test", 3, {"arousal": 1})
    assert [run.run for run in report.runs] == [1, 2]
    expected = [concordance.ccc(np.array([k + 0.03, k + 0.04, k + 0.05]), np.array([0.1, 0.4, 0.6]))
                for k in (0.1, 0.2)]  # fmt: skip
    assert [run.pooled["arousal"].ccc for run in report.runs] == pytest.approx(expected)


def test_gold_in_a_manifest_whose_recordings_are_named(tmp_path):
    touch(tmp_path, *(f"audio/{i}.wav" for i in IDS))
    rows = [f"u{k},audio/{i}.wav,s{k % 2},{GOLD['arousal'][k]}" for k, i in enumerate(IDS)]
    made(
        tmp_path / "m.jsonl", "table", table(tmp_path / "g.csv", "utt,file,spk,arousal", *rows),
        media_column="file", id_column="utt", scalar=("arousal",), speaker="spk",
    )  # fmt: skip
    path = table(tmp_path / "p.csv", *PLAIN)
    report, _ = scored(path, tmp_path / "m.jsonl", by=("speaker",))
    assert list(report.labels) == ["arousal"] and report.count == 4
    assert report.pooled["arousal"].ccc == pytest.approx(CCC["arousal"])
    assert report.groups is not None and [g.count for g in report.groups["speaker"]] == [2, 2]
    # Predictions of avaffect are scored by the same tables, whose names begin otherwise.
    header = manifest.new_header("predictions", targets={"arousal": {"kind": "scalar"}})
    items = [{"id": f"m_{i}", "target": "arousal", "prediction": PREDICTED["arousal"][k]}
             for k, i in enumerate(IDS)]  # fmt: skip
    manifest.write(tmp_path / "p.jsonl", header, items)
    report, said = scored(tmp_path / "p.jsonl", table(tmp_path / "t.csv", *TRUE))
    assert report.pooled["arousal"].ccc == pytest.approx(CCC["arousal"]) and "m_a is a" in said


@pytest.mark.parametrize(
    ("predicted", "gold", "options", "names"),
    [
        (["id,arousal", "a,high", "b,0.5"], TRUE, {}, ["line 2", "arousal", "high"]),
        (["id,arousal", "a,", "b,0.5"], TRUE, {}, ["line 2", "arousal"]),
        (["id,dominance", "a,1", "b,0.5"], TRUE, {}, ["dominance", "valence"]),
        (["id,arousal", "a,1", "a,0.5"], TRUE, {}, ["lines 2 and 3", "--id"]),
        (["id,arousal", "x,1", "y,0.5"], TRUE, {}, ["x, y"]),
        (["id,arousal", "a,1"], TRUE, {"label": ("arousl",)}, ["arousl", "arousal"]),
        (["id,arousal", "a,1"], TRUE, {"label": ("arousal=arousl",)}, ["arousl", "arousal"]),
        (["id,arousal", "a,1"], None, {}, ["pred_arousal", "arousal"]),
        (["clip,arousal", "a,1"], TRUE, {"id_column": "clp"}, ["clp", "clip"]),
        (["id,arousal", "a,1"], [*TRUE[:2], TRUE[2].replace("0.4", "lots"), *TRUE[3:]], {},
         ["line 3", "lots"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(predicted, gold, options, names, tmp_path):
    path = table(tmp_path / "p.csv", *predicted)
    golds = [] if gold is None else [table(tmp_path / "g.csv", *gold)]
    with pytest.raises(DataError) as error:
        scored(path, *golds, **options)
    assert all(name in str(error.value) for name in ("csv", *names))


def test_options_of_traces_and_of_tables(tmp_path):
    path, gold = table(tmp_path / "p.csv", *PLAIN), table(tmp_path / "g.csv", *TRUE)
    with pytest.raises(UsageError):
        scored(path, gold, delay=1.0)
    trace = table(tmp_path / "t.csv", "time,arousal", "0,1", "1,2", "2,4")
    with pytest.raises(UsageError, match="--id"):
        eval_ccc(EvalCccSettings(predictions=(trace,), gold=(trace,), id_column="id"))
    (report,) = eval_ccc(EvalCccSettings(predictions=(trace,), gold=(trace,)))
    assert report.content == "traces"


def test_speakers_are_drawn_with_all_of_their_utterances(tmp_path: Path) -> None:
    """Of utterances that are alike within a speaker, intervals over utterances are too narrow."""
    random = np.random.default_rng(0)
    speakers, truth = np.repeat(np.arange(12), 20), random.normal(size=240)
    predicted = truth + np.repeat(random.normal(size=12), 20)
    lines = [f"u{n},s{s},{x},{y}" for n, (s, x, y) in enumerate(zip(speakers, predicted, truth))]
    named = table(tmp_path / "p.csv", "id,speaker,prediction,arousal", *lines)
    report, said = scored(named, label=("arousal",), bootstrap=400)
    held = report.interval
    assert held is not None and (held.over, held.units) == ("speakers", 12)
    assert len(said.splitlines()) == 1
    weights = seeds.generator(0, "bootstrap", 12).multinomial(12, np.full(12, 1 / 12), size=400)
    drawn = [np.repeat(np.arange(240), times[speakers]) for times in weights]
    values = [concordance.rmse(predicted[rows], truth[rows]) for rows in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    assert held.pooled["arousal"]["rmse"] == (pytest.approx(low), pytest.approx(high))
    bare = table(tmp_path / "q.csv", "id,speaker,prediction,arousal",
                 *(line.replace(",s0,", ",,") for line in lines))  # fmt: skip
    report, said = scored(bare, label=("arousal",), bootstrap=400)
    assert report.interval is not None and report.interval.over == "utterances"
    assert len(said.splitlines()) == 2
    ends = report.interval.pooled["arousal"]["rmse"]
    assert ends is not None and ends[1] - ends[0] < 0.6 * (high - low)
    of_one = table(tmp_path / "s.csv", "id,speaker,prediction,arousal", *lines[:20])
    report, said = scored(of_one, label=("arousal",), bootstrap=400)
    assert report.interval is not None and report.interval.units == 20
    assert len(said.splitlines()) == 2
    one = table(tmp_path / "one.csv", "id,speaker,prediction,arousal", lines[0])
    with pytest.raises(DataError):
        scored(one, label=("arousal",), bootstrap=400)


def test_gold_that_is_not_predicted_is_counted(tmp_path: Path) -> None:
    gold = table(tmp_path / "gold.csv", *lines("file,arousal,valence", "x/{0}.wav,{3},{4}"))
    predicted = lines("file,arousal,valence", "{0}.wav,{1},{2}")
    report, said = scored(table(tmp_path / "p.csv", *predicted[:-1]), gold)
    assert report.count == 3 and "3 of 4 utterances with gold are scored" in said
    _, said = scored(table(tmp_path / "q.csv", *predicted), gold)
    assert "with gold" not in said
