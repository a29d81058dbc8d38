"""`avaffect eval-ccc` on the real command line: every kind of source, times, runs, bad input."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import Result, invoke
from printed import on_terminal, table
from trace_sources import wave, write_folder, write_manifest, write_table, write_traces

from avaffect.data import manifest
from avaffect.evaluation import concordance

# By Lin's formula: 0.6666666667 and 0.8, pooled over both 7 / 9.
THREE = (np.array([0.0, 0.1, 0.1]), np.array([0.0, 0.1, 0.2]))
FIVE = (np.arange(1, 6) / 10, np.arange(2, 7) / 10)
SCORES = ("ccc", "pearson", "rmse", "mae")


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(predictions: Path, gold: Path, *options: object) -> dict[str, Any]:
        found = invoke(tmp_path, "eval-ccc", predictions, "--gold", gold, "--json", *options)
        return json.loads(found.stdout)

    return run


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    def run(predictions: Path, gold: Path, *options: object, status: int = 65) -> str:
        found = invoke(tmp_path, "eval-ccc", predictions, "--gold", gold, *options, status=status)
        assert found.stdout == "" and "Traceback" not in found.stderr
        return found.stderr

    return run


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of predictions and gold of two recordings, three and five values long."""
    return (
        write_folder(tmp_path / "predicted", {"three": THREE[0], "five": FIVE[0]}),
        write_folder(tmp_path / "gold", {"three": THREE[1], "five": FIVE[1]}),
    )


def test_the_published_sewa_baseline(avaffect, recordings: Path) -> None:
    folder = recordings / "labels" / "sewa_devel"
    found = avaffect("eval-ccc", folder / "baseline_egemaps", "--gold", folder / "gold", "--json")
    report = json.loads(found.stdout)
    assert report["pooled"]["arousal"]["ccc"] == pytest.approx(0.396, abs=5e-4)
    assert report["pooled"]["valence"]["ccc"] == pytest.approx(0.405, abs=5e-4)
    assert "truncated" in found.stderr and "14 recordings, by up to 79.4 s (Devel_DE_08)" in (
        found.stderr
    )
    assert report["truncated"]["predictions"] == {"recordings": 14, "longest_s": 79.4}
    assert (report["count"], report["rate_hz"], report["delay"]) == (14, 10, 0)
    assert (report["variant"], report["labels"]) == (
        "biased", ["arousal", "valence", "liking"],
    )  # fmt: skip

    def column(kind: str, name: str) -> list[np.ndarray]:
        tables = []
        for path in sorted((folder / kind).glob("*.csv")):
            with path.open(newline="") as stream:
                tables.append([float(row[name]) for row in csv.DictReader(stream, delimiter=";")])
        return [np.array(values) for values in tables]

    for label in ("arousal", "valence"):
        gold = column("gold", label)
        cut = [x[: len(y)] for x, y in zip(column("baseline_egemaps", label), gold)]
        assert report["pooled"][label]["count"] == sum(map(len, gold)) == 22727
        whole = concordance.ccc(np.concatenate(cut), np.concatenate(gold))
        assert report["pooled"][label]["ccc"] == pytest.approx(whole, abs=1e-9)
        own = [concordance.ccc(x, y) for x, y in zip(cut, gold)]
        assert report["mean"][label]["ccc"] == pytest.approx(np.mean(own), abs=1e-9)
        assert [of[label]["ccc"] for of in report["recordings"].values()] == pytest.approx(own)


def test_pooled_mean_and_recordings_by_hand(report, two) -> None:
    found = report(*two)
    assert found["recordings"]["three"]["arousal"]["ccc"] == pytest.approx(2 / 3)
    assert found["recordings"]["five"]["arousal"]["ccc"] == pytest.approx(0.8)
    assert found["mean"]["arousal"]["ccc"] == pytest.approx((2 / 3 + 0.8) / 2)
    x, y = (np.concatenate(pair) for pair in zip(THREE, FIVE))
    expected = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(expected)
    assert found["pooled"]["arousal"]["rmse"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert found["pooled"]["arousal"]["count"] == 8 and found["count"] == 2
    assert found["std"]["pooled"]["arousal"] == dict.fromkeys(SCORES)
    assert [run["run"] for run in found["runs"]] == [0]
    assert [i["role"] for i in found["provenance"]["inputs"]] == ["predictions", "gold"]
    unbiased = report(*two, "--unbiased")
    assert unbiased["recordings"]["three"]["arousal"]["ccc"] == pytest.approx(0.6923076923)
    assert (found["variant"], unbiased["variant"]) == ("biased", "unbiased")
    itself = report(two[1], two[1])
    assert itself["pooled"]["arousal"]["ccc"] == itself["mean"]["arousal"]["ccc"] == 1


def test_every_kind_of_source_gives_the_same(report, shell, two, tmp_path: Path) -> None:
    expected = report(*two)["pooled"]["arousal"]
    sides: list[dict[str, Path]] = []
    for side, name in enumerate(("predicted", "gold")):
        traces = {"three": THREE[side], "five": FIVE[side]}
        arff = tmp_path / f"{name}-arff"
        arff.mkdir()
        for identifier, values in traces.items():
            rows = "".join(f"'{identifier}',{k / 10},{v}\n" for k, v in enumerate(values))
            (arff / f"{identifier}.arff").write_text(
                "@relation x\n@attribute name string\n@attribute frameTime numeric\n"
                f"@attribute arousal numeric\n@data\n{rows}"
            )
        sides.append({
            "arff": arff,
            "store": write_traces(tmp_path / f"{name}.h5",
                                  {i: {"arousal": v} for i, v in traces.items()}),
            "manifest": write_manifest(tmp_path / f"{name}.jsonl", traces),
            "labels": write_folder(tmp_path / f"{name}-labels" / "arousal", traces, "any").parent,
        })  # fmt: skip
    for kind in sides[0]:
        found = report(sides[0][kind], sides[1][kind])
        assert found["pooled"]["arousal"] == pytest.approx(expected, abs=1e-6), kind
    mixed = report(sides[0]["store"], sides[1]["arff"])
    assert mixed["pooled"]["arousal"] == pytest.approx(expected, abs=1e-6)
    line = "cat gold.jsonl | avaffect eval-ccc predicted.h5 --gold - --json | cat"
    piped = json.loads(shell(line, tmp_path).stdout)
    assert piped["pooled"]["arousal"] == pytest.approx(expected, abs=1e-6)


def test_single_files_pair_whatever_they_are_called(report, tmp_path: Path) -> None:
    predicted = write_table(tmp_path / "predicted.csv", {"arousal": THREE[0], "other": THREE[0]})
    gold = write_table(tmp_path / "gold.csv", {"arousal": THREE[1]})
    found = report(predicted, gold)
    assert found["recordings"].keys() == {"gold"} and found["labels"] == ["arousal"]
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(2 / 3)
    folder = write_folder(tmp_path / "one", {"a": THREE[1]})
    assert report(predicted, folder)["recordings"].keys() == {"a"}


def test_labels_are_chosen_and_paired(report, refused, tmp_path: Path) -> None:
    predicted = write_table(
        tmp_path / "p.csv", {"arousal": THREE[0], "valence": THREE[1], "x": THREE[0]}
    )
    gold = write_table(tmp_path / "g.csv", {"valence": THREE[1], "GoldStandard": THREE[1]})
    assert report(predicted, gold)["labels"] == ["valence"]
    found = report(predicted, gold, "--label", "arousal=GoldStandard", "--label", "valence")
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(2 / 3)
    assert found["pooled"]["valence"]["ccc"] == 1
    assert "'arousal' (it has: valence, GoldStandard)" in refused(
        predicted, gold, "--label", "arousal"
    )
    other = write_table(tmp_path / "o.csv", {"a": THREE[1], "b": THREE[1]})
    assert "--label NAME=OTHER" in refused(predicted, other)
    refused(predicted, gold, "--label", "arousal=", status=2)
    # One label on either side is that one.
    single = write_table(tmp_path / "s.csv", {"GoldStandard": THREE[1]})
    alone = write_table(tmp_path / "a.csv", {"arousal": THREE[0]})
    assert report(alone, single)["pooled"]["arousal"]["ccc"] == pytest.approx(2 / 3)


def test_runs_are_columns_and_gold_is_the_mean_of_raters(report, tmp_path: Path) -> None:
    first, second = THREE[0], THREE[1] + 0.05
    unknown = np.full(5, np.nan)
    predicted = write_traces(
        tmp_path / "p.h5",
        {
            "three": {"arousal": np.stack([first, second], axis=1)},
            # The second run does not predict this one.
            "five": {"arousal": np.stack([FIVE[0], unknown], axis=1)},
        },
        raters=2,
    )
    raters = np.stack([THREE[1] - 0.1, THREE[1] + 0.1, np.array([0, 0.1, np.nan])], axis=1)
    gold = write_traces(
        tmp_path / "g.h5",
        {"three": {"arousal": raters}, "five": {"arousal": np.stack([FIVE[1]] * 3, axis=1)}},
        raters=3,
    )
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    found = json.loads(result.stdout)
    assert "runs do not predict arousal of the same" in result.stderr
    pooled = [
        concordance.ccc(np.r_[first, FIVE[0]], np.r_[THREE[1], FIVE[1]]),
        concordance.ccc(second, THREE[1]),
    ]
    by_run = [run["pooled"]["arousal"]["ccc"] for run in found["runs"]]
    assert by_run == pytest.approx(pooled, abs=1e-6)
    assert [run["pooled"]["arousal"]["count"] for run in found["runs"]] == [8, 3]
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(np.mean(pooled), abs=1e-6)
    assert found["std"]["pooled"]["arousal"]["ccc"] == pytest.approx(
        np.std(pooled, ddof=1), abs=1e-6
    )
    means = [run["mean"]["arousal"]["ccc"] for run in found["runs"]]
    assert means == pytest.approx([(2 / 3 + 0.8) / 2, pooled[1]], abs=1e-6)
    assert found["recordings"]["five"]["arousal"]["ccc"] == pytest.approx(0.8, abs=1e-6)
    assert found["recordings"]["three"]["arousal"]["ccc"] == pytest.approx(
        (2 / 3 + pooled[1]) / 2, abs=1e-6
    )
    row = table(invoke(tmp_path, "eval-ccc", predicted, "--gold", gold).stdout)[0]
    assert (row["runs"], row["way"], row["ccc_std"]) == (
        "2", "pooled", f"{found['std']['pooled']['arousal']['ccc']:.6f}",
    )  # fmt: skip


def test_rates_meet_by_time(report, tmp_path: Path) -> None:
    predicted = write_traces(tmp_path / "p.h5", {"a": {"arousal": wave(20, 25)}}, rate_hz=25)
    gold = write_folder(tmp_path / "gold", {"a": wave(20, 10)})
    found = report(predicted, gold)
    assert (found["rate_hz"], found["pooled"]["arousal"]["count"]) == (10, 200)
    assert found["pooled"]["arousal"]["ccc"] > 0.9999
    assert found["truncated"]["predictions"]["recordings"] == 0
    found = report(predicted, gold, "--rate", 50)
    assert (found["rate_hz"], found["pooled"]["arousal"]["count"]) == (50, 996)
    assert found["pooled"]["arousal"]["ccc"] > 0.999


def test_delay_and_lengths(report, tmp_path: Path) -> None:
    """A model that learnt labels shifted back by 2 s says early what annotators said late."""
    early = write_folder(tmp_path / "early", {"a": wave(20, 10, start_s=2.0)})
    gold = write_folder(tmp_path / "gold", {"a": wave(20, 10)})
    found = report(early, gold, "--delay", 2)
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(1, abs=1e-12)
    assert (found["pooled"]["arousal"]["count"], found["delay"]) == (180, 2)
    assert found["truncated"]["gold"]["recordings"] == 0
    assert report(early, gold)["pooled"]["arousal"]["ccc"] < 0.5
    # The same, said by time stamps instead.
    stamped = write_folder(tmp_path / "stamped", {"a": wave(20, 10, start_s=2.0)}, start_s=2.0)
    result = invoke(tmp_path, "eval-ccc", stamped, "--gold", gold, "--json")
    found = json.loads(result.stdout)
    assert found["pooled"]["arousal"]["ccc"] == pytest.approx(1, abs=1e-12)
    assert found["truncated"] == {
        side: {"recordings": 1, "longest_s": 2.0} for side in ("predictions", "gold")
    }
    assert "warning" in result.stderr and "left out there" in result.stderr


def test_what_cannot_be_compared(refused, two, tmp_path: Path) -> None:
    late = write_folder(tmp_path / "late", {"three": THREE[0]}, start_s=100)
    words = refused(late, two[1])
    assert "three are from 100 to 100.2 s" in words and "no time in common" in words
    others = write_folder(tmp_path / "others", {"x": THREE[0], "y": THREE[0]})
    words = refused(others, two[1])
    assert "no recording in common" in words and "x, y" in words and "five, three" in words
    unknown = write_folder(tmp_path / "unknown", {"three": np.full(3, np.nan)})
    assert "nothing to score" in refused(unknown, two[1])
    assert "no such file" in refused(tmp_path / "nothing", two[1])
    (tmp_path / "empty").mkdir()
    assert "no trace files" in refused(tmp_path / "empty", two[1])
    classes = tmp_path / "classes.jsonl"
    manifest.write(classes, manifest.new_header("corpus"), [{"id": "a", "labels": {"x": "y"}}])
    assert "no trace labels" in refused(classes, two[1])
    damaged = write_folder(tmp_path / "damaged", {"three": THREE[0]})
    (damaged / "three.csv").write_text("time;arousal\n0;0.1\n0.1;high\n")
    assert "three.csv, line 3: arousal is 'high'" in refused(damaged, two[1])
    for options in (
        ("--rate", 0),
        ("--bootstrap", -1),
        ("--bootstrap", 39),
        ("--rate", 1e9),
        ("--rate", "nan"),
        ("--delay", "inf"),
        ("--per-recording", "--json"),
        ("--per-recording", "--bootstrap", 40),
    ):
        refused(*two, *options, status=2)
    refused(Path("-"), Path("-"), status=2)


def test_missing_recordings_are_named_and_counted(two, tmp_path: Path) -> None:
    predicted, gold = two
    write_folder(gold, {"unpredicted": THREE[1]})
    write_folder(predicted, {"unlabelled": THREE[0]})
    found = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    assert json.loads(found.stdout)["missing"] == {
        "predictions": ["unpredicted"], "gold": ["unlabelled"],
    }  # fmt: skip
    assert "1 recording with gold, but no prediction" in found.stderr
    assert "1 recording predicted, but without gold" in found.stderr
    assert json.loads(found.stdout)["count"] == 2


def test_constants_have_their_documented_values(tmp_path: Path) -> None:
    flat = np.full(3, 0.1)
    predicted = write_folder(tmp_path / "p", {"one": flat, "both": flat, "none": THREE[0]})
    gold = write_folder(tmp_path / "g", {"one": THREE[1], "both": flat, "none": THREE[1]})
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    found = json.loads(result.stdout)
    own = {i: of["arousal"]["ccc"] for i, of in found["recordings"].items()}
    assert own == {"one": 0, "both": None, "none": pytest.approx(2 / 3)}
    assert found["mean"]["arousal"]["ccc"] == pytest.approx(1 / 3)
    assert found["constant"] == {"arousal": ["both", "one"]}
    assert "constant, predicted or gold, in 2 recordings (both, one)" in result.stderr
    lines = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--per-recording").stdout
    assert [row["ccc"] for row in table(lines)] == ["", "0.666667", "0.000000"]


def test_unknown_values_and_another_scale(tmp_path: Path) -> None:
    marked = np.array([0.0, 0.1, -5.0, 0.2])
    predicted = write_folder(tmp_path / "p", {"a": np.array([0.0, 0.1, 0.1, 0.1])})
    gold = write_folder(tmp_path / "g", {"a": marked})
    words = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold).stderr
    assert "arousal reaches from -5 to 0.2" in words
    write_folder(gold, {"a": np.where(marked < -1, np.nan, marked)})
    found = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    assert "reaches" not in found.stderr
    scores = json.loads(found.stdout)["pooled"]["arousal"]
    assert (scores["ccc"], scores["count"]) == (pytest.approx(2 / 3), 3)


def test_splits(report, refused, tmp_path: Path) -> None:
    traces = {name: THREE[1] for name in ("a", "b", "c")}
    splits = {"a": "train", "b": "test", "c": "test"}
    gold = write_manifest(tmp_path / "gold.jsonl", traces, split=splits)
    predicted = write_folder(tmp_path / "p", {name: THREE[0] for name in "abc"})
    found = report(predicted, gold)
    assert (found["split"], list(found["recordings"])) == ("test", ["b", "c"])
    assert report(predicted, gold, "--split", "all")["count"] == 3
    assert report(predicted, gold, "--split", "train")["count"] == 1
    assert "there are: test, train" in refused(predicted, gold, "--split", "development")
    # Gold of other splits is not missed; folds are test sets, each of them.
    test = write_folder(tmp_path / "t", {"b": THREE[0]})
    assert report(test, gold)["missing"] == {"predictions": ["c"], "gold": []}
    folds = write_traces(
        tmp_path / "folds.h5", {name: {"arousal": THREE[0]} for name in "abc"},
        meta={name: {"fold": k, "split": splits[name]} for k, name in enumerate("abc")},
    )  # fmt: skip
    assert report(folds, gold)["count"] == 3


def test_intervals_are_reproducible_and_of_recordings(report, refused, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    gold = {f"r{k}": 0.3 * random.normal(size=40) for k in range(8)}
    noisy = {name: y + (0.02 + 0.05 * k) * random.normal(size=40)
             for k, (name, y) in enumerate(gold.items())}  # fmt: skip
    p, g = write_folder(tmp_path / "p", noisy), write_folder(tmp_path / "g", gold)
    first, again, other = (report(p, g, "--bootstrap", 400, "--seed", seed) for seed in (0, 0, 1))
    assert first == again and first["interval"] != other["interval"]
    assert (first["interval"]["level"], first["interval"]["draws"]) == (0.95, 400)
    for way in ("pooled", "mean"):
        for name in SCORES:
            low, high = first["interval"][way]["arousal"][name]
            assert low < first[way]["arousal"][name] < high
    # As the plain formula of the standard error has it.
    own = [of["arousal"]["ccc"] for of in first["recordings"].values()]
    low, high = first["interval"]["mean"]["arousal"]["ccc"]
    assert high - low == pytest.approx(2 * 1.96 * np.std(own) / np.sqrt(8), rel=0.2)
    (row, _) = table(invoke(tmp_path, "eval-ccc", p, "--gold", g, "--bootstrap", 400).stdout)
    assert row["ccc_low"] == f"{first['interval']['pooled']['arousal']['ccc'][0]:.6f}"
    one = write_folder(tmp_path / "one", {"r0": noisy["r0"]})
    assert "of one alone" in refused(one, g, "--bootstrap", 40)


def test_tables_and_output(two, tmp_path: Path) -> None:
    def run(*options: object, **how: Any) -> Result:
        return invoke(tmp_path, "eval-ccc", *two[:1], "--gold", two[1], *options, **how)

    pooled, mean = table(run().stdout)
    assert (pooled["label"], pooled["way"], pooled["recordings"], pooled["count"]) == (
        "arousal", "pooled", "2", "8",
    )  # fmt: skip
    assert (mean["way"], mean["ccc"], mean["ccc_std"]) == ("mean", "0.733333", "")
    own = table(run("--per-recording").stdout)
    assert [(row["recording"], row["count"]) for row in own] == [("five", "5"), ("three", "3")]
    several = invoke(tmp_path, "eval-ccc", two[0], two[1], "--gold", two[1])
    assert [row["file"] for row in table(several.stdout)] == [str(two[0])] * 2 + [str(two[1])] * 2
    output = tmp_path / "report.json"
    assert "would write" in run("-n", "-o", output).stderr and not output.exists()
    assert run("-o", output).stdout == ""
    assert "up to date" in run("-o", output).stderr
    run("-o", output, "--unbiased", status=73)
    run("-o", output, "--unbiased", "-f")
    assert json.loads(output.read_text())["variant"] == "unbiased"


def test_on_a_terminal(two) -> None:
    shown, _ = on_terminal("eval-ccc", two[0], "--gold", two[1], "--bootstrap", 40)
    for words in ("all values", "recordings", "Pearson", "0.733", "95 % of CCC", " to "):
        assert words in shown
