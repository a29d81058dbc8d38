"""`avaffect compare`: reports of runs, t-tests by hand and by SciPy, pipes, bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import invoke
from compared import CLASSES, GOLD, predictions, report, run
from printed import on_terminal, table
from scipy import stats
from trace_sources import wave, write_traces

from avaffect.data import manifest
from avaffect.recipes.downstream.defaults import UA


def scores(wrong: Sequence[int], name: str = "accuracy") -> list[float]:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    guesses = [[("anger" if k >= 12 - e else GOLD[k]) for k in range(12)] for e in wrong]
    if name == "accuracy":
        return [accuracy_score(GOLD, guess) for guess in guesses]
    if name == UA:
        return [recall_score(GOLD, guess, labels=CLASSES, average="macro") for guess in guesses]
    return [f1_score(GOLD, guess, labels=CLASSES, average="macro") for guess in guesses]


BASE, BETTER = (5, 6, 4, 4), (2, 3, 2, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Reports of two ways, four runs each, and the predictions behind them."""
    for name, wrong in (("base", BASE), ("better", BETTER)):
        predictions(tmp_path / f"{name}.jsonl", wrong)
        invoke(tmp_path, "eval-class", f"{name}.jsonl", "-o", f"{name}.json")
    return tmp_path


def test_means_and_the_paired_test(folder: Path) -> None:
    found = report(folder, "base.json", "better.json", "--score", "accuracy")
    assert (found["baseline"], found["test"], found["scores"]) == ("base", "paired", ["accuracy"])
    base, better = (row["scores"]["accuracy"] for row in found["rows"])
    assert base["values"] == pytest.approx(scores(BASE))
    assert base["mean"] == pytest.approx(np.mean(scores(BASE)))
    assert base["std"] == pytest.approx(np.std(scores(BASE), ddof=1))
    assert {base[key] for key in ("difference", "t", "degrees", "p")} == {None}
    expected = stats.ttest_rel(scores(BETTER), scores(BASE))
    assert better["difference"] == pytest.approx(np.mean(scores(BETTER)) - np.mean(scores(BASE)))
    assert (better["t"], better["degrees"], better["p"]) == (
        pytest.approx(expected.statistic), 3, pytest.approx(expected.pvalue),
    )  # fmt: skip
    assert [row["runs"] for row in found["rows"]] == [[0, 1, 2, 3]] * 2
    assert [of["role"] for of in found["provenance"]["inputs"]] == ["report", "report"]


def test_classes_are_compared_by_what_selects_epochs(folder: Path) -> None:
    assert report(folder, "base.json", "better.json")["scores"] == [UA]


def test_table_of_several_scores(folder: Path) -> None:
    result = run(folder, "base.json", "new=better.json", "--score", "f1_macro", "--score", "ua")
    first, second = table(result.stdout)
    assert (first["name"], second["name"], second["runs"]) == ("base", "new", "4")
    ours, theirs = scores(BETTER, "f1"), scores(BASE, "f1")
    assert first["f1_macro"] == f"{np.mean(theirs):.6f}"
    assert first["f1_macro_p"] == first["f1_macro_difference"] == ""
    assert second["f1_macro_std"] == f"{np.std(ours, ddof=1):.6f}"
    assert second["f1_macro_difference"] == f"{np.mean(ours) - np.mean(theirs):.6f}"
    expected = stats.ttest_rel(ours, theirs)
    assert float(second["f1_macro_p"]) == pytest.approx(expected.pvalue, rel=1e-5)
    assert float(second["f1_macro_t"]) == pytest.approx(expected.statistic, rel=1e-5)
    assert {"ua", "ua_std", "ua_degrees"} <= second.keys()
    # Without a word, UA.
    ends = ("", "_std", "_difference", "_t", "_degrees", "_p", "_chance")
    columns = {"name", "runs", *("ua" + end for end in ends)}
    assert table(run(folder, "base.json").stdout)[0].keys() == columns


def test_the_baseline_by_name_or_file(folder: Path) -> None:
    found = report(folder, "base.json", "b=better.json", "--baseline", "b")
    assert found["baseline"] == "b" and found["rows"][0]["scores"]["ua"]["difference"] < 0
    by_file = report(folder, "base.json", "b=better.json", "--baseline", "better.json")
    assert by_file["rows"] == found["rows"]
    words = run(folder, "base.json", "--baseline", "best", status=2).stderr
    assert "best" in words and "base" in words


def test_pipes_predictions_and_several_reports_in_one_file(shell, folder: Path) -> None:
    expected = report(folder, "base.json", "better.json")["rows"]
    line = "avaffect eval-class base.jsonl better.jsonl --json | avaffect compare --json | cat"
    piped = json.loads(shell(line, folder).stdout)
    assert [row["scores"] for row in piped["rows"]] == [row["scores"] for row in expected]
    assert [row["name"] for row in piped["rows"]] == ["base", "better"]
    straight = report(folder, "base.jsonl", "better.jsonl")
    assert [row["scores"] for row in straight["rows"]] == [row["scores"] for row in expected]
    both = folder / "both.json"
    both.write_text(
        json.dumps(json.loads((folder / "base.json").read_text()), indent=2)
        + (folder / "better.json").read_text()
    )
    assert [row["name"] for row in report(folder, "both.json")["rows"]] == ["base", "better"]
    assert "one name" in run(folder, "x=both.json", status=2).stderr
    assert "have the name base" in run(folder, "base.json", "both.json", status=2).stderr


def test_an_empty_pipe_is_explained_by_the_command_before_it(shell, folder: Path) -> None:
    found = shell("avaffect eval-class nosuch.jsonl --json | avaffect compare", folder, status=65)
    assert "nosuch.jsonl: no such file" in found.stderr
    assert "the pipe is empty: the command before it wrote nothing" in found.stderr


def test_runs_that_do_not_pair(folder: Path) -> None:
    predictions(folder / "five.jsonl", (1, 2, 1, 0, 3))
    result = run(folder, "base.json", "five.jsonl", "--json")
    assert "no paired t-test: it has 5 runs" in result.stderr and "--unpaired" in result.stderr
    found = json.loads(result.stdout)["rows"][1]["scores"]["ua"]
    assert found["p"] is found["t"] is None
    ours, theirs = scores((1, 2, 1, 0, 3), "ua"), scores(BASE, "ua")
    assert found["difference"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    found = report(folder, "base.json", "five.jsonl", "--unpaired")
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    test = found["rows"][1]["scores"]["ua"]
    assert (test["t"], test["p"]) == (
        pytest.approx(expected.statistic), pytest.approx(expected.pvalue),
    )  # fmt: skip
    assert found["test"] == "unpaired"
    # As many runs, but of other numbers, are other runs.
    predictions(folder / "later.jsonl", BETTER, first_run=4)
    assert "no paired t-test" in run(folder, "base.json", "later.jsonl").stderr
    predictions(folder / "one.jsonl", (1,))
    result = run(folder, "base.json", "one.jsonl", "--unpaired")
    assert "two runs or more" in result.stderr
    assert table(result.stdout)[1]["ua_std"] == ""


def test_runs_pair_by_number_not_by_place(folder: Path) -> None:
    """The runs of one report stand in another order."""
    found = json.loads((folder / "better.json").read_text())
    found["runs"].reverse()
    (folder / "reversed.json").write_text(json.dumps(found))
    rows = report(folder, "base.json", "better.json", "reversed.json")["rows"]
    assert rows[1]["scores"]["ua"]["p"] == pytest.approx(rows[2]["scores"]["ua"]["p"])
    assert rows[2]["runs"] == [3, 2, 1, 0]


def test_classes_by_their_f1(folder: Path) -> None:
    rows = table(run(folder, "base.json", "better.json", "--per-class").stdout)
    assert [(row["name"], row["class"]) for row in rows] == [
        (name, known) for name in ("base", "better") for known in CLASSES
    ]
    from sklearn.metrics import f1_score

    def of_neutral(wrong: Sequence[int]) -> list[float]:
        guesses = [[("anger" if k >= 12 - e else GOLD[k]) for k in range(12)] for e in wrong]
        return [f1_score(GOLD, guess, labels=["neutral"], average=None)[0] for guess in guesses]

    ours, theirs = of_neutral(BETTER), of_neutral(BASE)
    assert rows[5]["f1_difference"] == f"{np.mean(ours) - np.mean(theirs):.6f}"
    assert float(rows[5]["f1_p"]) == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, rel=1e-5)


@pytest.fixture
def points(folder: Path) -> list[str]:
    """Two ways at three noise levels, and one row that is at none."""
    for level in (0, 10, 20):
        for name, wrong in (("scratch", BASE), ("L1", BETTER)):
            fewer = [max(0, errors - level // 10) for errors in wrong]
            predictions(folder / f"{name}{level}.jsonl", fewer)
    found = [f"{name}@{level}={name}{level}.jsonl"
             for level in (20, 0, 10) for name in ("scratch", "L1")]  # fmt: skip
    return [*found, "clean=base.json"]


def test_curves_compare_point_by_point(folder: Path, points: list[str]) -> None:
    found = report(folder, *points, "--score", "accuracy")
    assert found["baseline"] == "scratch"
    rows = {row["name"]: row for row in found["rows"]}
    assert (rows["L1@10"]["curve"], rows["L1@10"]["at"]) == ("L1", 10)
    assert rows["L1@10"]["against"] == "scratch@10"
    assert rows["scratch@10"]["against"] is rows["clean"]["against"] is None
    test = rows["L1@10"]["scores"]["accuracy"]
    ours, theirs = scores((1, 2, 1, 0)), scores((4, 5, 3, 3))
    assert test["p"] == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert rows["clean"]["scores"]["accuracy"]["difference"] is None
    # A row is the baseline of all points.
    found = report(folder, *points, "--baseline", "clean")
    assert [row["against"] for row in found["rows"]] == ["clean"] * 6 + [None]
    found = report(folder, *points, "--baseline", "L1@0")
    assert [row["against"] for row in found["rows"]].count("L1@0") == 6
    # A sign without a number is part of a name.
    assert report(folder, "a@home=base.json")["rows"][0]["curve"] is None


@pytest.mark.parametrize("place", ["nan", "inf", "-inf", "1e999", "x"])
def test_places_that_are_on_no_curve(folder: Path, place: str) -> None:
    rows = (f"A@{place}=base.json", "A@1=better.json")
    for plot in ((), ("--plot", "x.png")):
        words = run(folder, *rows, *plot, status=2).stderr
        assert f"A@{place}" in words and "no finite number" in words
    run(folder, rows[0], status=0 if place == "x" else 2)


def test_curves_are_drawn(folder: Path, points: list[str]) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    options = ("--score", "f1_macro", "--score", "ua", "--axis", "SNR in dB")
    assert "would draw" in run(folder, *points, "--plot", "a.png", "-n").stderr
    assert "--plot" in run(folder, *points, *options, status=2).stderr
    words = run(folder, *points, "--per-class", "--score", "ua", status=2).stderr
    assert "--score" in words
    assert not (folder / "a.png").exists()
    run(folder, *points, *options, "--plot", "a.png")
    run(folder, *points, *options, "--plot", "b.png", "--json")
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    pixels = np.asarray(Image.open(folder / "a.png").convert("RGB"), dtype=np.int64)
    assert pixels.shape[1] > 2 * pixels.shape[0]
    # matplotlib's first three colours, in both panels.
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44)):
        hits = (np.abs(pixels - colour).sum(axis=2) < 20).any(axis=0)
        assert hits[: len(hits) // 2].any() and hits[len(hits) // 2 :].any()
    run(folder, *points, *options, "--plot", "a.png")
    run(folder, *points, "--plot", "a.png", status=73)
    run(folder, *points, "--plot", "a.png", "-f")
    run(folder, *points, *options, "--plot", "a.svg")
    drawn = (folder / "a.svg").read_text()
    assert drawn.startswith("<?xml") and "dc:date" not in drawn


def test_distances_of_shared_embeddings_are_compared_and_drawn(folder: Path) -> None:
    """Figure 2 of VAVL: means over utterances, which have one distance for all labels."""
    pytest.importorskip("matplotlib")
    from PIL import Image

    for name, kind, step in (("vavl", "class", 0.05), ("uavm", "class", 0.01), ("of", "scalar", 1)):
        classes = {"classes": CLASSES} if kind == "class" else {}
        targets = {"a": {"kind": kind, **classes}, "b": {"kind": "scalar"}}
        items = [
            {"id": f"u{k}", "target": of, "run": run, "gold": g, "prediction": g, "modality": "av",
             "shared_distance": None if k == 3 else k * step + run}
            for k in range(12) for run in (0, 1) for of in targets
            for g in [GOLD[k] if kind == "class" and of == "a" else float(k)]
        ]  # fmt: skip
        header = manifest.new_header("predictions", targets=targets)
        manifest.write(folder / f"{name}.jsonl", header, items)
    score = ("--score", "shared_distance")
    expected = np.mean([k for k in range(12) if k != 3])
    found = report(folder, "vavl.jsonl", "uavm.jsonl", *score, "--plot", "f.png")
    means = [row["scores"]["shared_distance"]["values"] for row in found["rows"]]
    assert means[0] == pytest.approx([0.05 * expected, 0.05 * expected + 1])
    assert means[1] == pytest.approx([0.01 * expected, 0.01 * expected + 1])
    (row,) = report(folder, "of.jsonl", *score)["rows"]
    assert row["scores"]["shared_distance"]["values"] == pytest.approx([expected, expected + 1])
    one = json.loads(invoke(folder, "eval-class", "vavl.jsonl", "--json").stdout)
    assert one["shared_distance"] == pytest.approx(0.05 * expected + 0.5)
    pixels = np.asarray(Image.open(folder / "f.png").convert("RGB"), dtype=np.int64)
    tall, low = (
        (np.abs(pixels - colour).sum(axis=2) < 20).any(axis=1).sum()
        for colour in ((31, 119, 180), (255, 127, 14))
    )
    heights = [np.mean(values) for values in means]
    assert tall / low == pytest.approx(heights[0] / heights[1], rel=0.02)
    assert "shared_distance" in run(folder, "base.json", *score, status=65).stderr


def test_pictures_that_cannot_be_drawn(
    folder: Path, points: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    assert ".png" in run(folder, *points, "--plot", "a.txt", status=2).stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "'.[plots]'" in run(folder, *points, "--plot", "a.png", status=2).stderr


def test_reports_of_traces(tmp_path: Path) -> None:
    def traces(name: str, cccs: list[float], **facts: Any) -> None:
        def of(value: float) -> dict[str, float]:
            return {"ccc": value, "pearson": value, "rmse": 1.0, "mae": 1.0, "count": 9}

        runs = [
            {"run": k, "pooled": {"arousal": of(v), "valence": of(v / 2)},
             "mean": {"arousal": of(v / 4), "valence": of(v / 8)}}
            for k, v in enumerate(cccs)
        ]  # fmt: skip
        found = {"file": f"{name}.h5", "content": "traces", "variant": "biased", "delay": 0.0,
                 "raters": "mean", "rate_hz": 10.0, "split": "test", "count": 9, "runs": runs,
                 "provenance": {"inputs": []}, **facts}  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(found) + "\n")

    traces("scratch", [0.4, 0.44, 0.36])
    traces("frozen", [0.5, 0.5, 0.48], variant="unbiased")
    result = run(tmp_path, "scratch.json", "frozen.json", "--json")
    found = json.loads(result.stdout)
    assert found["scores"] == ["arousal.ccc", "valence.ccc"]
    assert found["rows"][1]["scores"]["valence.ccc"]["mean"] == pytest.approx(0.74 / 3)
    assert "variant is unbiased and biased" in result.stderr
    found = report(tmp_path, "scratch.json", "--score", "ccc_mean", "--score", "arousal.rmse")
    assert found["scores"] == ["arousal.ccc_mean", "valence.ccc_mean", "arousal.rmse"]
    assert found["rows"][0]["scores"]["valence.ccc_mean"]["mean"] == pytest.approx(0.05)
    words = run(tmp_path, "scratch.json", "--score", "f1_macro", status=65).stderr
    assert "no score 'f1_macro'" in words and "arousal.ccc" in words
    run(tmp_path, "scratch.json", "--per-class", status=2)
    predictions(tmp_path / "classes.jsonl", BASE)
    words = run(tmp_path, "scratch.json", "classes.jsonl", status=2).stderr
    assert "do not compare" in words


def test_what_eval_ccc_writes_can_be_compared(tmp_path: Path) -> None:
    rows = "".join(f"{k / 10},{k % 7 / 10}\n" for k in range(30))
    (tmp_path / "gold.csv").write_text("time,arousal\n" + rows)
    (tmp_path / "flat.csv").write_text("time,arousal\n" + rows.replace("0.6\n", "0.1\n"))
    invoke(tmp_path, "eval-ccc", "flat.csv", "gold.csv", "--gold", "gold.csv", "-o", "r.json")
    found = report(tmp_path, "r.json")
    assert [row["name"] for row in found["rows"]] == ["flat", "gold"]
    assert found["rows"][1]["scores"]["arousal.ccc"]["mean"] == 1


@pytest.mark.parametrize("way", [(), ("--unpaired",)])
def test_other_utterances_have_no_test(folder: Path, way: tuple[str, ...]) -> None:
    predictions(folder / "fewer.jsonl", BETTER, count=9)
    result = run(folder, "base.json", "fewer.jsonl", "better.json", "--json", *way)
    assert "count is 9 and 12; no t-test" in result.stderr
    _, fewer, better = (row["scores"]["ua"] for row in json.loads(result.stdout)["rows"])
    assert fewer["t"] is fewer["p"] is fewer["degrees"] is None
    assert fewer["difference"] is not None and better["p"] is not None
    for key, value in (("target", "arousal"), ("split", "development")):
        found = json.loads((folder / "better.json").read_text()) | {key: value}
        (folder / "other.json").write_text(json.dumps(found))
        result = run(folder, "base.json", "other.json", *way)
        assert f"{key} is {value} and" in result.stderr
        assert table(result.stdout)[1]["ua_p"] == ""


def test_bad_reports_end_with_65(folder: Path) -> None:
    def refused(content: str, name: str = "bad.json") -> str:
        (folder / name).write_text(content)
        found = run(folder, "base.json", name, status=65)
        assert found.stdout == "" and name in found.stderr
        return found.stderr

    whole = (folder / "base.json").read_text()
    assert "is empty" in refused("\n")
    assert "line 1" in refused(whole[: len(whole) // 2])
    assert "no report" in refused('{"content": "retrieval"}\n')
    assert "no report" in refused("[1, 2]\n")
    assert "no target" in refused('{"content": "predictions", "runs": []}\n')
    assert "no such file" in run(folder, "nothing.json", status=65).stderr
    cut = (folder / "base.jsonl").read_text().splitlines()[:3]
    assert "cut short" in refused("\n".join(cut) + "\n", "cut.jsonl")
    words = run(folder, status=65, stdin=(folder / "base.jsonl").read_text()).stderr
    assert "eval-class --json" in words


def test_output_file(folder: Path) -> None:
    files = ("base.json", "better.json")
    assert "would write" in run(folder, *files, "-n", "-o", "c.json").stderr
    assert not (folder / "c.json").exists()
    assert run(folder, *files, "-o", "c.json").stdout == ""
    assert json.loads((folder / "c.json").read_text())["baseline"] == "base"
    assert "up to date" in run(folder, *files, "-o", "c.json").stderr
    run(folder, *files, "--unpaired", "-o", "c.json", status=73)


def test_on_a_terminal(folder: Path) -> None:
    shown, _ = on_terminal("compare", "base.json", "better.json", cwd=folder)
    assert "* p < 0.05" in shown and "paired" in shown
    ours_ua, theirs_ua = scores(BETTER, "ua"), scores(BASE, "ua")
    difference = np.mean(ours_ua) - np.mean(theirs_ua)
    p = stats.ttest_rel(ours_ua, theirs_ua).pvalue
    stars = "**" if p < 0.01 else "*"
    assert p < 0.05
    for words in ("UA", f"+{difference:.3f}{stars} ", f"{np.mean(ours_ua):.3f} ±"):
        assert words in shown, shown


def test_no_test_between_scores_by_other_gold(tmp_path: Path) -> None:
    runs = np.stack([wave(20, 10) + noise for noise in (0.0, 0.1, 0.25)], axis=1)
    labels = {name: {"arousal": runs, "valence": -runs} for name in "ab"}
    predicted = write_traces(tmp_path / "p.h5", labels, raters=3)
    raters = np.stack([wave(20, 10), wave(20, 10, 1.0), wave(20, 10, 2.0)], axis=1)
    gold = {name: {"arousal": raters, "valence": raters - 0.1} for name in "ab"}
    write_traces(tmp_path / "gold.h5", gold, raters=3)
    write_traces(tmp_path / "other.h5", {"a": gold["a"], "b": gold["a"], "c": gold["b"]}, raters=3)

    def score(name: str, *options: object, gold: str = "gold.h5") -> str:
        invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, *options, "-o", f"{name}.json")
        return f"{name}.json"

    def warned(other: str) -> str:
        result = run(tmp_path, base, other, "--score", "arousal.ccc", "--json")
        (_, row) = json.loads(result.stdout)["rows"]
        found = row["scores"]["arousal.ccc"]
        assert (found["p"] is None) == ("no t-test" in result.stderr)
        return result.stderr

    base = score("base")
    assert "no t-test" not in warned(score("one", "--label", "arousal"))
    assert "raters is ewe-loo and mean" in warned(score("loo", "--raters", "ewe-loo"))
    assert "rate_hz is 2.0 and 10.0" in warned(score("slow", "--rate", 2))
    assert "gold of one is not that of the other" in warned(score("other", gold="other.h5"))
    assert "gold_labels is arousal=valence" in warned(score("v", "--label", "arousal=valence"))


def test_stores_are_told_where_they_are_scored(tmp_path: Path) -> None:
    store = write_traces(tmp_path / "p.h5", {"a": {"arousal": wave(1, 10)}})
    found = run(tmp_path, store, status=65).stderr
    assert "is an HDF5 store" in found and f"avaffect eval-ccc {store} --gold GOLD" in found
    words = invoke(tmp_path, "eval-class", store, status=65).stderr
    assert "p.h5 is a store" in words and "eval-ccc" in words
