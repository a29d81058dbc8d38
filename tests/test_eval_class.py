"""`avaffect eval-class` through the real command line: files, pipes, a terminal, bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from printed import on_terminal, table

from avaffect.core import filekind
from avaffect.core.provenance import provenance
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer

CLASSES = ["anger", "happiness", "neutral"]
# (id, true class, prediction): accuracy 4/6; recalls 1/2, 1, 2/3.
BASE = [
    ("u0", "anger", "anger"),
    ("u1", "anger", "neutral"),
    ("u2", "happiness", "happiness"),
    ("u3", "neutral", "neutral"),
    ("u4", "neutral", "neutral"),
    ("u5", "neutral", "anger"),
]


def items(rows: list[tuple], **common: Any) -> list[dict[str, Any]]:
    return [
        {"id": identifier, "split": "test", "target": "emotion", "gold": gold,
         "prediction": prediction, "scores": {prediction: 1.0}, "run": 0, **common}
        for identifier, gold, prediction in rows
    ]  # fmt: skip


def write(path: Path, found: list[dict[str, Any]], **header: Any) -> Path:
    facts = {"target": "emotion", "classes": CLASSES, **header}
    manifest.write(path, manifest.new_header("predictions", **facts), found)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base.jsonl", items(BASE))


def test_json_and_tables(avaffect, base: Path) -> None:
    report = json.loads(avaffect("eval-class", base, "--json").stdout)
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["ua"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert report["f1_micro"] == pytest.approx(4 / 6)
    assert report["f1_macro"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert report["confusion"] == {"classes": CLASSES, "matrix": [[1, 0, 1], [0, 1, 0], [1, 0, 2]]}
    assert report["per_class"]["neutral"]["support"] == 3
    assert (report["count"], report["missing_gold"]) == (6, 0)
    assert report["std"] == dict.fromkeys(("accuracy", "ua", "f1_micro", "f1_macro"))
    assert [run["run"] for run in report["runs"]] == [0]
    found = avaffect("eval-class", base)
    (row,) = table(found.stdout)
    assert (row["file"], row["count"], row["accuracy"]) == (str(base), "6", "0.666667")
    assert row["ua_std"] == ""
    assert "6 utterances of the split test" in found.stderr
    rows = table(avaffect("eval-class", base, "--per-class").stdout)
    assert [row["class"] for row in rows] == CLASSES
    assert rows[0] == {
        "class": "anger", "precision": "0.500000", "recall": "0.500000", "f1": "0.500000",
        "support": "2",
    }  # fmt: skip
    lines = avaffect("eval-class", base, "--confusion", "-q").stdout.splitlines()
    assert lines[1:] == ["anger\t1\t0\t1", "happiness\t0\t1\t0", "neutral\t1\t0\t2"]


def test_through_real_pipes(shell, base: Path, tmp_path: Path) -> None:
    scored = shell("cat base.jsonl | avaffect eval-class --json | cat", tmp_path)
    assert json.loads(scored.stdout)["accuracy"] == pytest.approx(4 / 6)
    assert json.loads(scored.stdout)["file"] == "-"
    line = "avaffect eval-class - < base.jsonl | cut -f 5 | tail -1"
    assert shell(line, tmp_path).stdout == "0.666667\n"
    # What a failed writer leaves in a pipe is refused.
    cut = shell("head -3 base.jsonl | avaffect eval-class", tmp_path, status=65)
    assert "standard input is cut short" in cut.stderr and cut.stdout == ""
    assert "is empty" in shell("avaffect eval-class < /dev/null", tmp_path, status=65).stderr


def test_two_files_make_a_comparison(avaffect, base: Path, tmp_path: Path) -> None:
    right = write(tmp_path / "adapted.jsonl", items([(i, gold, gold) for i, gold, _ in BASE]))
    rows = table(avaffect("eval-class", base, right).stdout)
    assert [row["accuracy"] for row in rows] == ["0.666667", "1.000000"]
    assert [row["file"] for row in rows] == [str(base), str(right)]
    classes = table(avaffect("eval-class", base, right, "--per-class").stdout)
    assert [row["file"] for row in classes] == [str(base)] * 3 + [str(right)] * 3
    reports = [json.loads(line) for line in avaffect(
        "eval-class", base, right, "--json").stdout.splitlines()]  # fmt: skip
    assert [report["accuracy"] for report in reports] == [pytest.approx(4 / 6), 1]


def test_runs_give_mean_and_std_and_folds_are_pooled(avaffect, tmp_path: Path) -> None:
    right = [(i, gold, gold) for i, gold, _ in BASE]
    # Run 0 in two folds, run 1 in one item list; splits do not select among folds.
    found = [
        *items(BASE[:3], fold=0, run=0), *items(BASE[3:], fold=1, run=0, split="train"),
        *items(right, fold=0, run=1),
    ]  # fmt: skip
    path = write(tmp_path / "runs.jsonl", found)
    report = json.loads(avaffect("eval-class", path, "--json").stdout)
    scores = [4 / 6, 1]
    assert report["accuracy"] == pytest.approx(np.mean(scores))
    assert report["std"]["accuracy"] == pytest.approx(np.std(scores, ddof=1))
    assert report["confusion"]["matrix"] == [[3, 0, 1], [0, 2, 0], [1, 0, 5]]
    assert report["per_class"]["anger"]["recall"] == pytest.approx(0.75)
    assert report["per_class"]["anger"]["support"] == 2
    assert report["count"] == 6
    assert [run["accuracy"] for run in report["runs"]] == pytest.approx(scores)
    rows = table(avaffect("eval-class", path, "--runs").stdout)
    assert [(row["run"], row["count"]) for row in rows] == [("0", "6"), ("1", "6")]
    (row,) = table(avaffect("eval-class", path).stdout)
    assert row["accuracy_std"] == f"{np.std(scores, ddof=1):.6f}"


def test_the_test_split_is_scored_where_there_are_several(avaffect, tmp_path: Path) -> None:
    mixed = [*items(BASE[:4]), *items(BASE[4:], split="train")]
    path = write(tmp_path / "mixed.jsonl", mixed)
    assert json.loads(avaffect("eval-class", path, "--json").stdout)["count"] == 4
    for split, count in (("train", 2), ("all", 6)):
        found = avaffect("eval-class", path, "--split", split, "--json")
        assert json.loads(found.stdout)["count"] == count
    words = avaffect("eval-class", path, "--split", "development", status=65).stderr
    assert "there are: test, train" in words
    one = write(tmp_path / "development.jsonl", items(BASE, split="development"))
    assert json.loads(avaffect("eval-class", one, "--json").stdout)["split"] == "development"


def test_gold_missing_and_given(avaffect, tmp_path: Path) -> None:
    without = items([(i, gold if i < "u4" else None, p) for i, gold, p in BASE])
    path = write(tmp_path / "some.jsonl", without)
    found = avaffect("eval-class", path, "--json")
    report = json.loads(found.stdout)
    assert (report["count"], report["missing_gold"]) == (4, 2)
    assert "2 left out" in found.stderr
    none = write(tmp_path / "none.jsonl", items([(i, None, p) for i, _, p in BASE]))
    words = avaffect("eval-class", none, status=65).stderr
    assert "none.jsonl" in words and "--gold" in words
    corpus = tmp_path / "corpus.jsonl"
    manifest.write(
        corpus,
        manifest.new_header("corpus"),
        [{"id": i, "labels": {"emotion": gold}} for i, gold, _ in BASE],
    )
    given = json.loads(avaffect("eval-class", none, "--gold", corpus, "--json").stdout)
    assert given["accuracy"] == pytest.approx(4 / 6)
    assert [reference["role"] for reference in given["provenance"]["inputs"]] == [
        "predictions", "gold",
    ]  # fmt: skip
    words = avaffect("eval-class", none, "--gold", corpus, "--label", "mood", status=65).stderr
    assert "no label 'mood'" in words


def test_tied_votes_are_no_missing_gold(tmp_path: Path) -> None:
    rows = items([(identifier, None, found) for identifier, _, found in BASE])
    votes = {"anger": 0.5, "neutral": 0.5, "happiness": 0.0}
    write(tmp_path / "tied.jsonl", [{**row, "gold_scores": votes} for row in rows])
    write(tmp_path / "none.jsonl", rows)
    words = invoke(tmp_path, "eval-class", "tied.jsonl", status=65).stderr
    assert "tied" in words and "--gold" not in words
    assert "--gold" in invoke(tmp_path, "eval-class", "none.jsonl", status=65).stderr


def test_classes_merge_order_and_leave_out(avaffect, base: Path) -> None:
    merged = avaffect("eval-class", base, "--classes", "calm=neutral+happiness,anger", "--json")
    report = json.loads(merged.stdout)
    assert report["confusion"] == {"classes": ["calm", "anger"], "matrix": [[3, 1], [1, 1]]}
    refused = avaffect("eval-class", base, "--classes", "anger,happiness", status=65).stderr
    assert "'neutral', the prediction of u1" in refused and "--classes" in refused


def test_output_file(avaffect, base: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    found = avaffect("eval-class", base, "-n", "-o", output)
    assert "would write" in found.stderr and not output.exists()
    found = avaffect("eval-class", base, "-o", output)
    assert found.stdout == ""
    report = json.loads(output.read_text())
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["provenance"]["inputs"][0]["path"] == "base.jsonl"
    assert "up to date" in avaffect("eval-class", base, "-o", output).stderr
    write(base, items(BASE[:2]))
    avaffect("eval-class", base, "-o", output, status=73)
    assert json.loads(output.read_text()) == report
    avaffect("eval-class", base, "-f", "-o", output)
    assert json.loads(output.read_text())["count"] == 2


def test_damaged_reports_are_not_taken_for_others(tmp_path: Path) -> None:
    """Cut short, flipped, empty: made anew by --force alone; what is no report stays."""
    write(tmp_path / "base.jsonl", items(BASE))
    output, line = tmp_path / "report.json", ("eval-class", "base.jsonl", "-o", "report.json")
    invoke(tmp_path, *line)
    whole = output.read_bytes()
    flipped = whole.replace(b'"provenance"', b'"qrovenance"')
    for content, status in (
        (whole[:-40], 65), (flipped, 65), (whole[:200] + b"\xff" + whole[200:], 65), (b"", 65),
        (b"another program's\n", 73), (b'{"x": 1}\n', 73),
    ):  # fmt: skip
        output.write_bytes(content)
        invoke(tmp_path, *line, status=status)
        assert output.read_bytes() == content
    invoke(tmp_path, *line, "-f")
    assert output.read_bytes() == whole
    for command in ("info", "check"):
        words = invoke(tmp_path, command, "report.json", status=65).stderr
        assert filekind.REPORT in words and "avaffect compare report.json" in words


def test_bad_manifests_end_with_65(avaffect, base: Path, tmp_path: Path) -> None:
    def refused(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content)
        found = avaffect("eval-class", path, status=65)
        assert name in found.stderr and "Traceback" not in found.stderr and found.stdout == ""
        return found.stderr

    whole = base.read_bytes()
    assert "cut short" in refused("cut.jsonl", whole[: len(whole) // 2])
    assert "is empty" in refused("empty.jsonl", b"")
    header = json.dumps({**manifest.new_header("corpus").to_dict(), "version": "1.0"}).encode()
    words = refused("corpus.jsonl", header + b'\n{"kind":"end","count":0}\n')
    assert "is a manifest of a corpus" in words
    twice = write(tmp_path / "x.jsonl", items([*BASE, BASE[0]])).read_bytes()
    assert "u0 is predicted twice in run 0" in refused("twice.jsonl", twice)
    strange = write(tmp_path / "x.jsonl", items([*BASE, ("u9", "awe", "anger")])).read_bytes()
    assert "'awe', the gold class of u9" in refused("strange.jsonl", strange)
    no_class = write(tmp_path / "x.jsonl", items([("u9", "anger", None)])).read_bytes()
    assert "no predicted class" in refused("no_class.jsonl", no_class)
    avaffect("eval-class", base, "--runs", "--json", status=2)


def test_on_a_terminal(base: Path) -> None:
    """Three drawn tables; a mean with its spread is not needed for one run."""
    text, _ = on_terminal("eval-class", base, "-q", width=150)
    for words in ("Scores", "UA", "F1 macro", "0.667", "Classes", "precision", "Confusion"):
        assert words in text, text
    assert "\x1b[" not in text


def test_help_instead_of_waiting_on_a_terminal() -> None:
    ours, theirs = os.openpty()
    found = subprocess.run(
        [sys.executable, "-m", "avaffect", "eval-class"],
        stdin=theirs, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert "Usage: avaffect eval-class" in found.stderr
    assert found.stdout == ""


POOL = {"p0": "anger", "p1": "anger", "p2": "happiness", "p3": None, "p4": "fear"}


@pytest.fixture
def retrieval(tmp_path: Path) -> Path:
    """A pool store with labels, and a retrieval manifest over it."""
    pool = tmp_path / "pool.h5"
    with store_writer(
        pool,
        provenance("extract", {}, []),
        labels={"emotion": LabelSpec("class", ("anger", "fear", "happiness"))},
        pooled={"embedding": PooledSpec(1, {})},
    ) as writer:
        for identifier, label in POOL.items():
            writer.add(identifier, pooled={"embedding": [1.0]}, labels={"emotion": label})
    drawn = [("q0", "anger", ["p0", "p2"]), ("q1", "anger", ["p1", "p1"]),
             ("q2", "happiness", ["p4", "p2"]), ("q3", "happiness", ["p3", "p3"])]  # fmt: skip
    header = manifest.new_header(
        "retrieval",
        base=".",
        stores={"pool": [{"path": "pool.h5", "content_id": Store(pool).content_id}]},
        settings={"temperature": 0.1, "label": "emotion"},
    )
    path = tmp_path / "retrieval.jsonl"
    manifest.write(
        path,
        header,
        [
            {"query": query, "label": label, "pool": ids, "effective_size": 2.5}
            for query, label, ids in drawn
        ],
    )
    return path


def test_retrieval_by_the_labels_in_its_pool(avaffect, retrieval: Path) -> None:
    found = avaffect("eval-class", retrieval, "--json")
    report = json.loads(found.stdout)
    # Of six labelled draws four bear their query's label: anger 3 of 4, happiness 1 of 2.
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["macro"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert report["per_class"] == {
        "anger": {"accuracy": 0.75, "count": 4},
        "happiness": {"accuracy": 0.5, "count": 2},
        "fear": {"accuracy": None, "count": 0},
    }
    assert report["confusion"]["matrix"] == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert (report["count"], report["missing_gold"], report["queries"]) == (6, 2, 4)
    assert (report["distinct"], report["effective_size"]) == (5, 2.5)
    assert "8 draws for 4 queries; 2 left out" in found.stderr
    (row,) = table(avaffect("eval-class", retrieval).stdout)
    assert (row["accuracy"], row["macro"]) == ("0.666667", "0.625000")


def test_retrieval_by_given_labels(avaffect, shell, retrieval: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    manifest.write(
        gold,
        manifest.new_header("corpus"),
        [{"id": identifier, "labels": {"emotion": "anger"}} for identifier in POOL],
    )
    (tmp_path / "pool.h5").unlink()
    line = "cat retrieval.jsonl | avaffect eval-class --gold gold.jsonl --json"
    report = json.loads(shell(line, tmp_path).stdout)
    assert (report["accuracy"], report["macro"]) == (0.5, 0.5)
    assert report["shared"] == {} and "hours" not in report
    assert report["missing_gold"] == 0
    words = avaffect("eval-class", retrieval, status=65).stderr
    assert "pool.h5" in words


def test_what_draws_share_with_their_query_against_chance(avaffect, tmp_path: Path) -> None:
    """Speakers, sexes, texts and corpora of both stores; unknown ones count on neither side."""
    pool = {
        "emodb_0": ("anger", "s1", "f", "So.", 3600.0), "emodb_1": ("anger", "s1", "m", "so.", 1.0),
        "cremad_2": ("joy", "s2", "m", "No", 1800.0), "cremad_3": ("joy", "", "m", "", 10.0),
        "other": (None, "s3", "f", "no", 5.0),
    }  # fmt: skip
    query = {"emodb_q": ("anger", "s1", "f", "SO. ", 1.0), "x_q": ("joy", "s9", "m", "no", 1.0)}
    stores = {}
    for role, rows in (("pool", pool), ("query", query)):
        path = tmp_path / f"{role}.h5"
        labels = {"emotion": LabelSpec("class", ("anger", "joy"))}
        pooled = {"embedding": PooledSpec(1, {})}
        made = provenance("extract", {}, [])
        with store_writer(path, made, labels=labels, pooled=pooled) as writer:
            for identifier, (label, speaker, sex, text, seconds) in rows.items():
                meta = {"speaker": speaker, "sex": sex, "text": text, "duration_s": seconds}
                writer.add(identifier, pooled={"embedding": [1.0]}, labels={"emotion": label},
                           meta=meta)  # fmt: skip
        stores[role] = [{"path": path.name, "content_id": Store(path).content_id}]
    drawn = {"emodb_q": ("anger", ["emodb_0", "emodb_0", "cremad_2"]),
             "x_q": ("joy", ["cremad_3", "other", "emodb_1"])}  # fmt: skip
    header = manifest.new_header(
        "retrieval", base=".", stores=stores, settings={"label": "emotion"}
    )
    items = [{"query": q, "label": of, "pool": ids} for q, (of, ids) in drawn.items()]
    manifest.write(tmp_path / "r.jsonl", header, items)
    report = json.loads(avaffect("eval-class", tmp_path / "r.jsonl", "--json").stdout)
    assert (report["distinct"], report["pool"]) == (5, 5)
    assert report["hours"] == report["pool_hours"] == pytest.approx(5416 / 3600)
    # Speakers: s1 s1 s2 for s1, and s3 s1 for s9; of four that are known in the pool two are s1.
    expected = {
        "speaker": (2 / 5, (3 * 2 + 0) / 4 / 5, 5),
        "sex": (4 / 6, (3 * 2 + 3 * 3) / 5 / 6, 6),
        "corpus": (2 / 3, 2 / 4, 3),
        "text": (3 / 5, 2 / 4, 5),
        "label": (3 / 5, 2 / 4, 5),
    }
    found = {name: tuple(of.values()) for name, of in report["shared"].items()}
    assert found == {name: pytest.approx(values) for name, values in expected.items()}
    (tmp_path / "query.h5").unlink()
    alone = json.loads(avaffect("eval-class", tmp_path / "r.jsonl", "--json").stdout)
    assert alone["shared"].keys() == {"label"} and alone["hours"] == report["hours"]


def test_retrieval_merges_as_it_was_drawn(avaffect, retrieval: Path, tmp_path: Path) -> None:
    found = manifest.read(retrieval)
    merged = {"settings": {"classes": "anger,joy=happiness"}}
    header = dataclasses.replace(found.header, provenance=merged)
    path = tmp_path / "merged.jsonl"
    rename = {"happiness": "joy", "anger": "anger"}
    manifest.write(path, header, [{**item, "label": rename[item["label"]]} for item in found.items])
    report = json.loads(avaffect("eval-class", path, "--json").stdout)
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["confusion"]["classes"] == ["anger", "joy", "fear"]
    # Chosen anew, fear is left out instead of wrong.
    chosen = avaffect("eval-class", path, "--classes", "anger,joy=happiness", "--json")
    assert json.loads(chosen.stdout)["accuracy"] == pytest.approx(4 / 5)


def test_predictions_and_retrieval_do_not_mix(avaffect, base: Path, retrieval: Path) -> None:
    assert "one by one" in avaffect("eval-class", base, retrieval, status=2).stderr
    assert "no runs" in avaffect("eval-class", retrieval, "--runs", status=2).stderr
    for asked in (("--confidence", 95), ("--permutations", 100), ("--calibration",)):
        assert asked[0] in avaffect("eval-class", retrieval, *asked, status=2).stderr


def test_some_utterances_without_a_split(avaffect, tmp_path: Path) -> None:
    found = items(BASE)
    for item in found[:2]:
        item["split"] = None
    whole = write(tmp_path / "some.jsonl", found)
    assert "6 utterances\n" in avaffect("eval-class", whole).stderr
    tests = write(tmp_path / "all.jsonl", items(BASE))
    assert "6 utterances of the split test\n" in avaffect("eval-class", tests).stderr
