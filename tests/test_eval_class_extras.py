"""`avaffect eval-class --by`, `--permutations`, `--calibration`, and chance beside scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from printed import on_terminal, table

from avaffect.core.provenance import provenance, reference
from avaffect.data import manifest
from avaffect.data.store.reader import Store
from avaffect.data.store.writer import store_writer
from avaffect.data.tables import spellings

CLASSES = ["anger", "neutral", "sadness"]


def of(folder: Path, *arguments: object, **how: Any) -> dict[str, Any]:
    return json.loads(invoke(folder, "eval-class", *arguments, "--json", **how).stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Predictions p.jsonl of two runs, a corpus with sex and age, and the same as a table."""
    random = np.random.default_rng(0)
    items, corpus, rows = [], [], ["file,speaker,prediction,emotion,sex,anger,neutral,sadness"]
    for n in range(120):
        true = CLASSES[n // 12 % 3]
        speaker, sex = f"s{n % 12}", "female" if n % 12 < 8 else "male"
        corpus.append({
            "id": f"u{n}", "media": f"u{n}.wav", "speaker": speaker, "sex": sex,
            "age": 20 + n % 12,
            "labels": {"emotion": true, "intensity": "low" if n % 2 else "high"},
        })  # fmt: skip
        for run in range(2):
            shares = random.dirichlet([1, 1, 1])
            shares[CLASSES.index(true)] += 1.0 if sex == "female" else 0.0
            shares /= shares.sum()
            guess = CLASSES[int(shares.argmax())]
            items.append({
                "id": f"u{n}", "gold": true, "prediction": guess, "run": run, "speaker": speaker,
                "scores": dict(zip(CLASSES, shares.tolist())), "split": "test",
            })  # fmt: skip
            if run == 0:
                cells = [f"u{n}.wav", speaker, guess, true, sex, *(f"{x:.6f}" for x in shares)]
                rows.append(",".join(cells))
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(tmp_path / "p.jsonl", header, items)
    manifest.write(tmp_path / "c.jsonl", manifest.new_header("corpus"), corpus)
    (tmp_path / "p.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def accuracy(folder: Path, sexes: dict[str, str], wanted: str) -> float:
    items = [i for i in manifest.read(folder / "p.jsonl").items if sexes[i["id"]] == wanted]
    return float(np.mean([item["gold"] == item["prediction"] for item in items]))


def test_groups_of_the_gold_and_of_predictions(folder: Path) -> None:
    report = of(folder, "p.jsonl", "--gold", "c.jsonl", "--by", "sex", "--by", "speaker",
                "--by", "intensity", "--by", "age")  # fmt: skip
    sexes = {i["id"]: i["sex"] for i in manifest.read(folder / "c.jsonl").items}
    female, male = report["groups"]["sex"]
    assert (female["value"], female["count"], female["speakers"], female["few"]) == (
        "female", 80, 8, False,
    )  # fmt: skip
    assert female["accuracy"] == pytest.approx(accuracy(folder, sexes, "female"))
    assert male["accuracy"] == pytest.approx(accuracy(folder, sexes, "male"))
    assert (male["count"], female["ua"] > male["ua"] + 0.3) == (40, True)
    assert male["chance"]["ua"] == pytest.approx(1 / 3)
    speakers = report["groups"]["speaker"]
    assert len(speakers) == 12 and all(of["few"] and of["count"] == 10 for of in speakers)
    assert [of["value"] for of in report["groups"]["intensity"]] == ["high", "low"]
    # Twelve ages in quarters, from the youngest.
    assert [of["value"] for of in report["groups"]["age"]] == [
        "20 to 22", "23 to 25", "26 to 28", "29 to 31",
    ]  # fmt: skip
    assert [of["count"] for of in report["groups"]["age"]] == [30] * 4


def test_groups_in_a_pipe_with_a_warning_of_few(folder: Path) -> None:
    result = invoke(folder, "eval-class", "p.jsonl", "--by", "speaker")
    rows = table(result.stdout)
    assert len(rows) == 12 and {row["few"] for row in rows} == {"1"}
    assert {row["field"] for row in rows} == {"speaker"} and "warning" in result.stderr
    assert float(rows[0]["ua_chance"]) == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        (("--by", "sex", "--confidence", 95), {"--confidence"}),
        (("--by", "sex", "--format", "csv", "--permutations", 100), {"--permutations"}),
        (("--per-class", "--by", "sex", "--calibration"), {"--by", "--calibration"}),
        (("--by", "sex", "--confidence", 95, "--json"), set()),
        (("--by", "sex", "--confidence", 95, "--format", "latex"), set()),
        (("--confidence", 95, "--calibration"), set()),
    ],
)
def test_what_the_table_does_not_show_is_named(
    options: tuple[object, ...], hidden: set[str], folder: Path
) -> None:
    said = invoke(folder, "eval-class", "p.jsonl", "--gold", "c.jsonl", *options).stderr
    others = [line for line in said.splitlines() if "--json" in line]
    assert len(others) == bool(hidden)
    named = {"--confidence", "--permutations", "--calibration", "--by"} & set(
        others[0].partition("does not show")[2].replace(":", "").split() if others else ()
    )
    assert named == hidden


def test_utterances_without_a_value_and_fields_that_nothing_has(folder: Path) -> None:
    corpus = manifest.read(folder / "c.jsonl")
    for item in corpus.items[:40]:
        del item["sex"]
    manifest.write(folder / "d.jsonl", manifest.new_header("corpus"), corpus.items)
    groups = of(folder, "p.jsonl", "--gold", "d.jsonl", "--by", "sex")["groups"]["sex"]
    assert [g["value"] for g in groups] == ["female", "male", "unknown"]
    assert sum(g["count"] for g in groups) == 120
    found = invoke(folder, "eval-class", "p.jsonl", "--by", "height", status=65)
    assert "height" in found.stderr and "speaker" in found.stderr
    (folder / "bare.csv").write_text("id,pred,emotion\na,anger,anger\n")
    found = invoke(folder, "eval-class", "bare.csv", "--by", "height", status=65)
    assert "none" in found.stderr


def test_spellings_of_one_group(folder: Path) -> None:
    """`unknown`, as tables say it, is one group with the utterances that have no value."""
    corpus = manifest.read(folder / "c.jsonl")
    values = ["Female", "female", "unknown", None]
    for number, item in enumerate(corpus.items):
        item["sex"] = values[number % 4]
    manifest.write(folder / "d.jsonl", manifest.new_header("corpus"), corpus.items)
    found = invoke(folder, "eval-class", "p.jsonl", "--gold", "d.jsonl", "--by", "sex")
    rows = table(found.stdout)
    assert [(row["value"], row["count"]) for row in rows] == [
        ("Female", "30"), ("female", "30"), ("unknown", "60"),
    ]  # fmt: skip
    assert "Female, female" in found.stderr
    found = invoke(folder, "eval-class", "p.jsonl", "--gold", "c.jsonl", "--by", "sex")
    assert "Female" not in found.stderr


def test_fields_of_a_table_of_gold(folder: Path) -> None:
    items = manifest.read(folder / "c.jsonl").items
    rows = [f"u{n}.wav;{i['labels']['emotion']};{i['sex']};{i['age']}" for n, i in enumerate(items)]
    (folder / "gold.csv").write_text("\n".join(["wav;emotion;Sex;age", *rows]) + "\n")
    by = ("--by", "sex", "--by", "age")
    of_table = of(folder, "p.jsonl", "--gold", "gold.csv", *by)["groups"]
    assert of_table == of(folder, "p.jsonl", "--gold", "c.jsonl", *by)["groups"]


def test_fields_of_the_store_that_was_predicted(folder: Path) -> None:
    with store_writer(folder / "m.h5", provenance("preprocess", {}, [])) as writer:
        for item in manifest.read(folder / "c.jsonl").items:
            writer.add(item["id"], meta={"sex": item["sex"], "age": float(item["age"])})
    made = provenance("predict", {}, [
        reference("media", folder / "m.h5", Store(folder / "m.h5").content_id, folder / "l.jsonl")
    ])  # fmt: skip
    items = manifest.read(folder / "p.jsonl").items
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES, provenance=made)
    manifest.write(folder / "l.jsonl", header, items)
    by = ("--by", "sex", "--by", "age")
    found = of(folder, "l.jsonl", *by)["groups"]
    assert found == of(folder, "p.jsonl", "--gold", "c.jsonl", *by)["groups"]
    (folder / "m.h5").unlink()
    invoke(folder, "eval-class", "l.jsonl", *by, status=65)


def test_the_corpus_of_ids_that_adapters_gave(folder: Path) -> None:
    items = manifest.read(folder / "p.jsonl").items
    for place, item in enumerate(items):
        item["id"] = ("emodb_" if place < 100 else "ravdess_") + item["id"]
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(folder / "two.jsonl", header, items)
    groups = of(folder, "two.jsonl", "--by", "corpus")["groups"]["corpus"]
    assert [(g["value"], g["count"]) for g in groups] == [("emodb", 50), ("ravdess", 70)]


def test_permutations(folder: Path) -> None:
    result = invoke(folder, "eval-class", "p.jsonl", "--permutations", 500, "--json")
    test = json.loads(result.stdout)["permutation"]
    assert (test["within"], test["units"], test["exact"]) == ("speakers", 12, False)
    assert test["arrangements"] == 500 and "warning" not in result.stderr
    assert test["p"]["ua"] == pytest.approx(1 / 501)
    assert of(folder, "p.jsonl", "--permutations", 500)["permutation"] == test
    (row,) = table(invoke(folder, "eval-class", "p.jsonl", "--permutations", 500).stdout)
    assert float(row["accuracy_p"]) == pytest.approx(1 / 501, rel=1e-4)
    invoke(folder, "eval-class", "p.jsonl", "--permutations", 50, status=2)


def test_few_arrangements_are_counted_and_said(folder: Path) -> None:
    items = [
        {"id": f"u{n}", "speaker": f"s{n // 3}", "gold": CLASSES[n % 3],
         "prediction": CLASSES[n % 3]}
        for n in range(6)
    ]  # fmt: skip
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(folder / "few.jsonl", header, items)
    result = invoke(folder, "eval-class", "few.jsonl", "--permutations", 1000, "--json")
    test = json.loads(result.stdout)["permutation"]
    assert (test["exact"], test["arrangements"]) == (True, 36) and "warning" in result.stderr
    assert test["p"]["accuracy"] == pytest.approx(1 / 36)
    for item in items:
        del item["speaker"]
    manifest.write(folder / "few.jsonl", header, items)
    result = invoke(folder, "eval-class", "few.jsonl", "--permutations", 1000, "--json")
    test = json.loads(result.stdout)["permutation"]
    assert (test["within"], test["arrangements"]) == ("all utterances", 90)
    assert "warning" in result.stderr


def test_calibration_of_manifests_and_tables(folder: Path) -> None:
    found = of(folder, "p.jsonl", "--calibration")["calibration"]
    assert found["count"] == 120 and len(found["bins"]) == 10
    assert sum(one["count"] for one in found["bins"]) == 240
    assert 0 < found["ece"] < 1 and 0 < found["brier"] < 2
    first = [i for i in manifest.read(folder / "p.jsonl").items if i["run"] == 0]
    brier = np.mean([
        sum((i["scores"][name] - (name == i["gold"])) ** 2 for name in CLASSES) for i in first
    ])  # fmt: skip
    of_table = of(folder, "p.csv", "--calibration", "--by", "sex")
    assert of_table["calibration"]["brier"] == pytest.approx(brier, abs=1e-5)
    assert [group["count"] for group in of_table["groups"]["sex"]] == [80, 40]
    assert of_table["groups"]["sex"][0]["speakers"] == 8
    # Merged classes have the sum of their probabilities.
    merged = of(folder, "p.jsonl", "--calibration", "--classes", "calm=neutral+sadness,anger")
    assert merged["calibration"]["brier"] < found["brier"]
    (row,) = table(invoke(folder, "eval-class", "p.jsonl", "--calibration").stdout)
    assert float(row["ece"]) == pytest.approx(found["ece"], abs=1e-6)


def test_calibration_without_probabilities(folder: Path) -> None:
    items = manifest.read(folder / "p.jsonl").items
    for item in items:
        del item["scores"]
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(folder / "bare.jsonl", header, items)
    assert "scores" in invoke(folder, "eval-class", "bare.jsonl", "--calibration", status=65).stderr
    (folder / "bare.csv").write_text("id,pred,emotion\na,anger,anger\nb,neutral,anger\n")
    invoke(folder, "eval-class", "bare.csv", "--calibration", status=65)


@pytest.mark.parametrize(
    ("shares", "options", "status", "warned"),
    [
        ((0.7, 0.3), (), 0, False),
        ((0.7, 0.3), ("--classes", "neutral,anger"), 0, False),
        ((0.9, 0.9), (), 0, True),
        ((0.9, 0.9), ("--classes", "neutral,anger"), 0, True),
        ((-0.36, -1.2), (), 65, False),
        ((-0.36, -1.2), ("--classes", "neutral,anger"), 65, False),
        ((7.0, 3.0), ("--classes", "neutral,anger"), 65, False),
    ],
)
def test_what_is_no_probability(
    shares: tuple[float, float], options: tuple[str, ...], status: int, warned: bool, tmp_path: Path
) -> None:
    """Logarithms, scores before softmax, and probabilities of each class alone."""
    rows = ["id,pred,emotion,anger,neutral", "a,anger,anger,0.6,0.4", "b,neutral,anger,0.2,0.8"]
    rows.append(f"c,anger,neutral,{shares[0]},{shares[1]}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    said = invoke(tmp_path, "eval-class", "t.csv", "--calibration", *options, status=status).stderr
    assert ("warning" in said) is warned


def test_chance_stands_beside_scores(folder: Path) -> None:
    report = of(folder, "p.jsonl")
    third, most = pytest.approx(1 / 3), pytest.approx(0.4)
    assert report["chance"] == {
        "accuracy": most, "ua": third, "f1_micro": most, "f1_macro": third,
    }  # fmt: skip
    (row,) = table(invoke(folder, "eval-class", "p.jsonl").stdout)
    assert float(row["ua_chance"]) == pytest.approx(1 / 3, abs=1e-6)
    shown, _ = on_terminal("eval-class", "p.jsonl", "p.csv", "--calibration", "--permutations",
                           100, "--by", "speaker", cwd=folder, width=140)  # fmt: skip
    lines = [line for line in shown.splitlines() if "chance" in line and "0.333" in line]
    assert lines, shown


def test_reports_of_earlier_versions_stay_as_they_are(folder: Path) -> None:
    """They do not say what chance gives, which follows from the rest."""
    invoke(folder, "eval-class", "p.jsonl", "-o", "p.json")
    report = json.loads((folder / "p.json").read_text())
    del report["chance"]
    (folder / "p.json").write_text(json.dumps(report) + "\n")
    invoke(folder, "eval-class", "p.jsonl", "-o", "p.json")
    invoke(folder, "eval-class", "p.jsonl", "-o", "p.json", "--calibration", status=73)


def test_a_sign_is_part_of_a_number() -> None:
    assert spellings.alike(["-1", "0", "1", "Low-1", "low 1"]) == [["Low-1", "low 1"]]


@pytest.mark.parametrize("columns", ["anger,joy", "joy,anger"])
def test_probabilities_that_are_of_other_classes_than_their_columns_say(
    tmp_path: Path, columns: str
) -> None:
    lines = ["a,anger,anger,.8,.2", "b,joy,anger,.3,.7", "c,joy,joy,.5,.5"]
    text = "\n".join([f"id,pred,emotion,{columns}", *lines]) + "\n"
    (tmp_path / "p.csv").write_text(text)
    for options in ((), ("--classes", "joy=anger+joy,fear")):
        found = invoke(tmp_path, "eval-class", "p.csv", "--calibration", *options)
        assert ("warning" in found.stderr) == (columns == "joy,anger"), options
