"""`avaffect compare` of single runs: McNemar's test and the bootstrap, against SciPy and loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from compared import CLASSES, predictions, report, run
from printed import on_terminal, table
from scipy import stats

from avaffect.core import seeds
from avaffect.data import manifest
from avaffect.evaluation import bootstrap, classification, concordance, paired


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (3, 0), (9, 4), (12, 12), (20, 4)])
def test_few_discordant_utterances_by_the_binomial(better: int, worse: int) -> None:
    found = paired.mcnemar(better, worse)
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert found.exact and found.statistic is None and found.p == pytest.approx(expected)
    assert paired.mcnemar(worse, better).p == found.p


def test_many_discordant_utterances_by_chi_squared() -> None:
    found = paired.mcnemar(40, 21)
    assert not found.exact
    # Yates's correction of one cell each, against half of the discordant utterances.
    expected = sum((abs(n - 30.5) - 0.5) ** 2 / 30.5 for n in (40, 21))
    assert found.statistic == pytest.approx(expected)
    assert found.p == pytest.approx(stats.chi2.sf(expected, 1))
    assert found.p == pytest.approx(stats.binomtest(40, 61).pvalue, rel=0.1)
    assert paired.mcnemar(30, 30).p == 1


def differences(first, second, scores, *rest):
    return paired.differences(
        first, second, [*scores], lambda matrix: [of(matrix) for of in scores.values()], *rest
    )


def test_differences_against_a_loop() -> None:
    random = np.random.default_rng(0)
    speakers, (gold, one, other) = random.integers(0, 6, 80), random.integers(0, 3, (3, 80))
    first, second = (bootstrap.grouped(gold, side, speakers, 3, 6) for side in (one, other))
    scores = {"ua": classification.unweighted_accuracy, "accuracy": classification.accuracy}
    found = differences(first, second, scores, 90, 300, np.random.default_rng(1))
    drawn = np.random.default_rng(1)
    for name, of in found.items():
        values = []
        drawn = np.random.default_rng(1)
        for _ in range(300):
            times = drawn.multinomial(6, np.full(6, 1 / 6))
            rows = [row for row in range(80) for _ in range(times[speakers[row]])]
            sides = [
                classification.confusion_matrix(
                    [CLASSES[gold[r]] for r in rows], [CLASSES[side[r]] for r in rows], CLASSES
                )
                for side in (one, other)
            ]
            values.append(scores[name](sides[0]) - scores[name](sides[1]))
        low, high = np.quantile(values, [0.05, 0.95])
        other_side = min(sum(v <= 0 for v in values), sum(v >= 0 for v in values))
        assert (of.low, of.high) == (pytest.approx(low), pytest.approx(high))
        assert of.p == pytest.approx(min(1, 2 * (other_side + 1) / 301))


def test_equal_classifiers_do_not_differ() -> None:
    random = np.random.default_rng(2)
    same = bootstrap.grouped(*random.integers(0, 3, (2, 50)), np.arange(50), 3, 50)
    scores = {"accuracy": classification.accuracy}
    found = differences(same, same, scores, 95, 100, random)["accuracy"]
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_p_of_the_bootstrap_is_as_rare_as_it_says() -> None:
    """Of two classifiers that are right as often, a twentieth has p < 0.05."""
    random = np.random.default_rng(3)
    scores = {"accuracy": classification.accuracy}
    rare = 0
    for _ in range(300):
        gold = np.zeros(120, dtype=int)
        sides = (random.random((2, 120)) < 0.4).astype(int)
        first, second = (bootstrap.grouped(gold, side, np.arange(120), 2, 120) for side in sides)
        rare += differences(first, second, scores, 95, 200, random)["accuracy"].p < 0.05
    assert stats.binomtest(rare, 300, 0.05).pvalue > 0.001


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    predictions(tmp_path / "base.jsonl", (6,))
    predictions(tmp_path / "better.jsonl", (1,))
    return tmp_path


def test_single_runs_through_the_command_line(folder: Path) -> None:
    first, second = report(folder, "base.jsonl", "better.jsonl", "--score", "accuracy")["rows"]
    assert "utterances" not in first and "low" not in first["scores"]["accuracy"]
    # Of the last six utterances four are no anger, and one of them is wrong in both.
    tests, of = second["utterances"], second["scores"]["accuracy"]
    assert tests["mcnemar"] == {
        "better": 3, "worse": 0, "exact": True, "statistic": None, "p": 0.25,
    }  # fmt: skip
    assert (tests["over"], tests["units"], tests["percent"]) == ("utterances", 12, 95)
    assert of["difference"] == pytest.approx(3 / 12) and of["t"] is None
    assert 0 <= of["low"] < of["difference"] < of["high"] <= 0.5 and 0 < of["p"] < 0.1
    assert {"low", "high"} <= second["per_class"]["neutral"].keys()


def test_columns_in_a_pipe_and_on_a_terminal(folder: Path) -> None:
    result = run(folder, "base.jsonl", "better.jsonl")
    first, second = table(result.stdout)
    assert (second["mcnemar_better"], second["mcnemar_worse"]) == ("3", "0")
    assert float(second["mcnemar_p"]) == 0.25 and first["mcnemar_p"] == ""
    assert float(second["ua_low"]) < float(second["ua_difference"])
    assert "warning" in result.stderr
    shown, _ = on_terminal("compare", "base.jsonl", "better.jsonl", cwd=folder, width=120)
    assert "McNemar" in shown and "0.250" in shown


def test_rows_that_are_not_tested_for_one_reason_are_named_together(folder: Path) -> None:
    predictions(folder / "several.jsonl", (6, 1))
    said = run(folder, "several.jsonl", "base.jsonl", "better.jsonl").stderr
    (line,) = [line for line in said.splitlines() if "no t-test" in line]
    assert "base, better: " in line


def with_speakers(
    path: Path, moved: int = 0, count: int = 40, gold: str | None = None, speakers: int = 12,
) -> None:  # fmt: skip
    items = [
        {"id": f"u{n + moved}", "gold": gold or CLASSES[n % 3], "speaker": f"s{n % speakers}",
         "prediction": CLASSES[0 if n % 5 == 0 else n % 3], "run": 0}
        for n in range(count)
    ]  # fmt: skip
    header = manifest.new_header("predictions", target="emotion", classes=CLASSES)
    manifest.write(path, header, items)


def test_speakers_are_drawn_where_they_are_named(tmp_path: Path) -> None:
    with_speakers(tmp_path / "a.jsonl")
    with_speakers(tmp_path / "b.jsonl")
    result = run(tmp_path, "a.jsonl", "b.jsonl", "--json")
    tests = json.loads(result.stdout)["rows"][1]["utterances"]
    assert (tests["over"], tests["units"], tests["mcnemar"]["p"]) == ("speakers", 12, 1)
    assert "warning" not in result.stderr


def test_tables_of_other_programs(tmp_path: Path) -> None:
    with_speakers(tmp_path / "ours.jsonl")
    rows = ["file,prediction,emotion"]
    rows += [f"wav/u{n}.wav,{CLASSES[(n + (n < 9)) % 3]},{CLASSES[n % 3]}" for n in range(40)]
    (tmp_path / "theirs.csv").write_text("\n".join(rows) + "\n")
    ours, theirs = report(tmp_path, "ours.jsonl", "theirs.csv", "--score", "accuracy")["rows"]
    assert theirs["scores"]["accuracy"]["mean"] == pytest.approx(31 / 40)
    # Ours are wrong in u5, u10, u20, u25, u35; theirs in the first nine.
    mcnemar = theirs["utterances"]["mcnemar"]
    assert (mcnemar["better"], mcnemar["worse"]) == (4, 8)
    assert (theirs["utterances"]["over"], ours["name"]) == ("speakers", "ours")


def test_reports_whose_predictions_are_still_there(shell, folder: Path) -> None:
    """As they were scored: of two classes that were merged, say, and with other gold."""
    expected = report(folder, "base.jsonl", "better.jsonl", "--score", "ua")["rows"][1]
    (folder / "scores").mkdir()
    for name in ("base", "better"):
        invoke(folder, "eval-class", f"{name}.jsonl", "-o", f"scores/{name}.json")
    found = report(folder, "scores/base.json", "scores/better.json", "--score", "ua")["rows"][1]
    assert found["utterances"] == expected["utterances"] and found["scores"] == expected["scores"]
    line = "avaffect eval-class base.jsonl better.jsonl --json | avaffect compare --json --score ua"
    piped = json.loads(shell(line, folder).stdout)["rows"][1]
    assert piped["scores"] == expected["scores"]
    gold = [{"id": f"u{n}", "media": "a", "labels": {"emotion": "anger"}} for n in range(12)]
    manifest.write(folder / "gold.jsonl", manifest.new_header("corpus"), gold)
    merged = ("--gold", "gold.jsonl", "--classes", "calm=happiness+neutral,anger")
    for name in ("base", "better"):
        invoke(folder, "eval-class", f"{name}.jsonl", *merged, "-o", f"{name}.json")
    tests = report(folder, "base.json", "better.json")["rows"][1]["utterances"]
    # The three that the baseline alone took for anger, which now is right.
    assert (tests["mcnemar"]["better"], tests["mcnemar"]["worse"]) == (0, 3)
    predictions(folder / "better.jsonl", (2,))
    assert "utterances" not in report(folder, "base.json", "better.json")["rows"][1]


def test_few_speakers_have_no_p(tmp_path: Path) -> None:
    with_speakers(tmp_path / "a.jsonl", speakers=9)
    with_speakers(tmp_path / "b.jsonl", speakers=9)
    result = run(tmp_path, "a.jsonl", "b.jsonl", "--json")
    of = json.loads(result.stdout)["rows"][1]["scores"]["ua"]
    assert (of["low"], of["high"], of["p"]) == (0, 0, None) and "warning" in result.stderr


def test_what_does_not_pair_is_not_tested(tmp_path: Path, folder: Path) -> None:
    with_speakers(tmp_path / "a.jsonl")
    with_speakers(tmp_path / "moved.jsonl", moved=1)
    with_speakers(tmp_path / "relabelled.jsonl", gold="anger")
    with_speakers(tmp_path / "b.jsonl")
    invoke(tmp_path, "eval-class", "b.jsonl", "-o", "b.json")
    (tmp_path / "b.jsonl").unlink()
    predictions(tmp_path / "two.jsonl", (1, 2))
    for arguments in (
        ("a.jsonl", "moved.jsonl"), ("a.jsonl", "relabelled.jsonl"), ("b.json", "x=a.jsonl"),
        ("base.jsonl", "two.jsonl"), ("base.jsonl", "better.jsonl", "--unpaired"),
    ):  # fmt: skip
        result = run(tmp_path, *arguments, "--json")
        row = json.loads(result.stdout)["rows"][1]
        assert "utterances" not in row and row["scores"]["ua"]["p"] is None, arguments
        assert "no test by utterance" in result.stderr, arguments


def numbers(path: Path, noise: float, seed: int, gold: float = 0.0) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    items = []
    for n in range(60):
        true = gold + float(np.sin(n))
        items.append({"id": f"u{n}", "target": "arousal", "gold": true, "speaker": f"s{n % 12}",
                      "prediction": true + float(random.normal(0, noise))})  # fmt: skip
    targets = {"arousal": {"kind": "scalar"}}
    header = manifest.new_header("predictions", target="arousal", targets=targets)
    manifest.write(path, header, items)
    return items


def test_numbers_by_the_bootstrap_alone(tmp_path: Path) -> None:
    one = numbers(tmp_path / "a.jsonl", 0.8, 0)
    other = numbers(tmp_path / "b.jsonl", 0.4, 1)
    score = ("--score", "arousal.ccc", "--score", "arousal.rmse")
    row = report(tmp_path, "a.jsonl", "b.jsonl", *score)["rows"][1]
    tests, of = row["utterances"], row["scores"]["arousal.ccc"]
    assert (tests["over"], tests["units"], "mcnemar" in tests) == ("speakers", 12, False)
    weights = seeds.generator(0, "bootstrap").multinomial(12, np.full(12, 1 / 12), size=2000)
    gold = np.array([item["gold"] for item in one])
    first, second = (np.array([item["prediction"] for item in side]) for side in (one, other))
    found = []
    for times in weights:
        rows = np.repeat(np.arange(60), times[np.arange(60) % 12])
        better, worse = (concordance.ccc(side[rows], gold[rows]) for side in (second, first))
        found.append(better - worse)
    low, high = np.quantile(found, [0.025, 0.975])
    assert (of["low"], of["high"]) == (pytest.approx(low), pytest.approx(high))
    assert of["low"] < of["difference"] < of["high"] and of["p"] < 0.05
    assert row["scores"]["arousal.rmse"]["high"] < 0
    (_, piped) = table(run(tmp_path, "a.jsonl", "b.jsonl", *score).stdout)
    assert float(piped["arousal.ccc_low"]) == pytest.approx(low, abs=1e-6)
    assert not any(name.startswith("mcnemar") for name in piped)
    numbers(tmp_path / "c.jsonl", 0.4, 1, gold=0.5)
    result = run(tmp_path, "a.jsonl", "c.jsonl", "--json")
    assert "utterances" not in json.loads(result.stdout)["rows"][1]


def test_reports_of_tables_are_read_again(tmp_path: Path) -> None:
    """With further columns read (--calibration) and gold of another table, too."""
    rows = [(f"u{n}", f"s{n % 12}", CLASSES[n % 3], 1 - n % 2 * 0.2) for n in range(40)]
    for name, wrong in (("a", 5), ("b", 3)):
        lines = [f"file,speaker,emotion,prediction,{','.join(CLASSES)}"]
        for n, (identifier, speaker, true, most) in enumerate(rows):
            predicted = CLASSES[(n + (n % wrong == 0)) % 3]
            shares = [f"{most if c == predicted else (1 - most) / 2:.2f}" for c in CLASSES]
            lines.append(",".join([identifier, speaker, true, predicted, *shares]))
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    expected = report(tmp_path, "a.csv", "b.csv", "--score", "accuracy")["rows"][1]
    assert "mcnemar" in expected["utterances"]
    (tmp_path / "scores").mkdir()
    for options in (("--calibration",), ("--gold", "a.csv")):
        for name in ("a", "b"):
            place = f"scores/{name}.json"
            invoke(tmp_path, "eval-class", f"{name}.csv", *options, "-o", place, "--force")
        again = report(tmp_path, "scores/a.json", "scores/b.json", "--score", "accuracy")["rows"][1]
        assert again["utterances"] == expected["utterances"], options
        assert again["scores"] == expected["scores"], options
    with (tmp_path / "b.csv").open("a") as stream:
        stream.write("u99,s1,anger,anger,1,0,0\n")
    changed = report(tmp_path, "scores/a.json", "scores/b.json", "--score", "accuracy")
    assert "utterances" not in changed["rows"][1]
