"""Reports as dataclasses: the JSON of version 0.1, what is read again, what is the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import avaffect
from avaffect.core.errors import DataError, OutputExistsError
from avaffect.core.table import Style
from avaffect.data import manifest
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.recipes.scoring.reports.comparison import Comparison, TraceFacts
from avaffect.recipes.scoring.reports.traces import ScalarReport, TraceReport
from avaffect.recipes.scoring.tables import classes, comparison, traces

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """Each kind of report, once with two runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold.csv").write_text(
        "time,arousal\n" + "".join(f"{k},{k % 3 / 4}\n" for k in range(9))
    )
    (tmp_path / "said.csv").write_text(
        "time,arousal\n" + "".join(f"{k},{k % 4 / 4}\n" for k in range(9))
    )
    header = manifest.new_header("predictions", target="mood", targets={"mood": {"kind": "scalar"}})
    items = [
        {
            "id": f"u{k}",
            "target": "mood",
            "run": run,
            "gold": k,
            "prediction": k + run,
        }
        for run in range(2)
        for k in range(4)
    ]
    manifest.write(tmp_path / "mood.jsonl", header, items)
    of_classes = avaffect.eval_class(WRITTEN / "predictions.jsonl")
    retrieved = avaffect.eval_class(
        WRITTEN / "retrieved.jsonl", gold=WRITTEN / "pool.jsonl", label="emotion=hidden_emotion"
    )
    of_traces = avaffect.eval_ccc("said.csv", gold="gold.csv")
    return {
        "classes": of_classes,
        "retrieval": retrieved,
        "traces": of_traces,
        "scalars": avaffect.eval_ccc("mood.jsonl"),
        "comparison": [avaffect.compare([WRITTEN / "report.json", f"b={WRITTEN / 'report.json'}"])],
    }


def test_the_json_is_that_of_version_0_1() -> None:
    text = (WRITTEN / "report.json").read_text().strip()
    report = ClassReport.from_dict(json.loads(text))
    assert report.to_json() == text
    assert report.runs[0].run == 0 and report.confusion.matrix == ((2, 2), (1, 1))


def test_each_kind_says_what_it_is_and_is_read_again(reports: dict[str, list]) -> None:
    kinds = {"classes": ClassReport, "retrieval": RetrievalReport, "traces": TraceReport,
             "scalars": ScalarReport}  # fmt: skip
    for name, kind in kinds.items():
        (report,) = reports[name]
        assert type(report) is kind
        assert kind.from_dict(json.loads(report.to_json())) == report
        first, *_, last = report.to_dict()
        assert (first, last) == ("file", "provenance")
    (found,) = reports["comparison"]
    assert type(found) is Comparison and found.rows[1].against == "report"
    assert found.to_dict()["rows"][0]["target"] == found.rows[0].facts.target == "emotion"
    assert "facts" not in found.to_dict()["rows"][0] and "file" not in found.to_dict()


def test_keys_that_are_missing_or_of_another_type_are_named() -> None:
    found = json.loads((WRITTEN / "report.json").read_text())
    for broken, key in (
        ({k: v for k, v in found.items() if k != "ua"}, "ua"),
        ({**found, "runs": [{**found["runs"][0], "f1_macro": "high"}]}, "f1_macro"),
        ({**found, "count": 1.5}, "count"),
    ):
        with pytest.raises(DataError, match=key):
            ClassReport.from_dict(broken)


def test_a_report_of_another_version_or_order_of_keys_is_up_to_date(
    reports: dict[str, list], tmp_path: Path
) -> None:
    def write(**changes) -> None:
        avaffect.eval_ccc("said.csv", gold="gold.csv", output="r.json", **changes)

    write()
    found = json.loads(Path("r.json").read_text())
    made = found["provenance"]
    earlier = {**made, "version": "0.0.9", "settings": dict(reversed(made["settings"].items()))}
    text = json.dumps({"provenance": earlier, **{k: found[k] for k in found if k != "provenance"}})
    Path("r.json").write_text(text)
    os.utime("r.json", (1, 1))
    write()
    assert Path("r.json").read_text() == text and os.stat("r.json").st_mtime > 1
    with pytest.raises(OutputExistsError):
        write(delay=1.0)
    Path("r.json").write_text("notes\n")
    with pytest.raises(OutputExistsError):
        write()


def test_tables_for_people_and_for_programs(reports: dict[str, list]) -> None:
    people, programs = Style(for_people=True), Style(for_people=False)
    (report,) = reports["classes"]
    scores, per_class, confusion = classes.tables([report], people)
    assert scores.rows[0][-3] == f"{report.ua:.3f} ± {report.std['ua']:.3f}"
    assert [row[0] for row in per_class.rows] == list(report.per_class)
    assert confusion.rows[0] == ("anger", "2", "2")
    (alone,) = classes.tables([report], programs)
    assert dict(zip(alone.columns, alone.rows[0]))["ua_std"] == f"{report.std['ua']:.6f}"
    (found,) = classes.tables(reports["retrieval"], programs)
    assert found.columns[-2:] == ("accuracy", "macro")
    (found,) = traces.tables(reports["traces"], programs)
    assert [row[2] for row in found.rows] == ["pooled", "mean"]
    (found,) = traces.tables(reports["scalars"], people)
    assert [row[1] for row in found.rows] == ["all values", "chance"]
    assert found.columns[0] == "label" and "±" in found.rows[0][2]
    table = comparison.table(reports["comparison"][0], people)
    assert table.note.startswith("differences from report")
    assert [row[0] for row in table.rows] == ["report", "b", "chance"]
    columns = comparison.table(reports["comparison"][0], programs).columns
    assert columns[-2:] == ("ua_p", "ua_chance")


def test_facts_of_traces_keep_their_order() -> None:
    facts = TraceFacts(gold=(), gold_labels={}, raters="mean", rate_hz=None, variant="biased",
                       delay=0.0, split=None, count=1)  # fmt: skip
    assert list(facts.to_dict()) == [
        "gold", "gold_labels", "raters", "rate_hz", "variant", "delay", "split", "count",
    ]  # fmt: skip
