"""`avaffect eval-ccc` where a score would be of values, recordings or files that nobody meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from trace_sources import wave, write_folder, write_manifest, write_table, write_traces

from avaffect.data.traces import at_times

TEN_HZ = np.arange(200) / 10


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of predictions and gold: recordings a and b, 20 s at 10 Hz each."""
    gold = {"a": wave(20, 10), "b": wave(20, 10, start_s=5.0)}
    predicted = {name: 0.9 * values + 0.01 for name, values in gold.items()}
    return write_folder(tmp_path / "p", predicted), write_folder(tmp_path / "g", gold)


def drop(file: Path, first: int, last: int) -> None:
    """Take the values `first` to `last` - 1 out of a table."""
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: first + 1] + lines[last + 1 :]))


def test_nothing_is_invented_across_a_gap(both, tmp_path: Path) -> None:
    predicted, gold = both
    for name in "ab":
        drop(predicted / f"{name}.csv", 50, 150)
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    found = json.loads(result.stdout)
    assert found["pooled"]["arousal"]["count"] == 200
    assert found["unpredicted"] == {"arousal": 200}
    assert "200 values of arousal in the gold left out" in result.stderr
    # Two steps are no gap: one value that fell out is drawn as a line.
    for name in "ab":
        drop(predicted / f"{name}.csv", 20, 21)
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "--json")
    assert json.loads(result.stdout)["pooled"]["arousal"]["count"] == 200
    # The gold's own gap, where another rate asks for values within it.
    whole = write_folder(tmp_path / "whole", {name: wave(20, 10) for name in "ab"})
    drop(gold / "a.csv", 50, 150)
    result = invoke(tmp_path, "eval-ccc", whole, "--gold", gold, "--rate", 5, "--json")
    own = json.loads(result.stdout)["recordings"]
    assert (own["a"]["arousal"]["count"], own["b"]["arousal"]["count"]) == (50, 100)


def test_gaps_are_two_steps_of_the_coarser_side() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.5, 0.6])
    fine = at_times(times, times, np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    np.testing.assert_allclose(fine, [0.1, 0.2, np.nan, np.nan, 0.5])
    coarse = at_times(times, times, np.array([0.0, 0.2, 0.4, 0.6]))
    np.testing.assert_allclose(coarse, [0.0, 0.2, 0.4, 0.6])


def test_predictions_that_are_unknown_are_counted(tmp_path: Path) -> None:
    values = np.stack([wave(20, 10)] * 2, axis=1)
    values[:30, 1] = np.nan
    alone = np.stack([wave(20, 10), np.full(200, np.nan)], axis=1)
    predicted = write_traces(
        tmp_path / "p.h5", {"a": {"arousal": values}, "b": {"arousal": alone}}, raters=2
    )
    gold = wave(20, 10)
    gold[:10] = np.nan
    folder = write_folder(tmp_path / "g", {"a": gold, "b": gold})
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", folder, "--json")
    # A run that does not predict a recording at all leaves nothing out of it.
    assert json.loads(result.stdout)["unpredicted"] == {"arousal": 20}
    assert "20 values of arousal in the gold left out" in result.stderr


def test_times_in_milliseconds_are_refused(both, tmp_path: Path) -> None:
    slow = write_table(tmp_path / "slow.csv", {"arousal": wave(20, 10)}, rate_hz=0.01)
    words = invoke(tmp_path, "eval-ccc", slow, "--gold", both[1] / "a.csv", status=65).stderr
    assert "slow.csv: its times are 100 apart" in words and "milliseconds" in words


def test_values_beyond_every_scale_are_refused(both, tmp_path: Path) -> None:
    huge = write_table(tmp_path / "huge.csv", {"arousal": np.where(TEN_HZ == 3, 1e300, 0.1)})
    words = invoke(tmp_path, "eval-ccc", huge, "--gold", both[1] / "a.csv", status=65).stderr
    assert "huge.csv, line 32: arousal is '1e+300', which is not a number" in words
    manifest = write_manifest(tmp_path / "huge.jsonl", {"a": np.array([0.1, 1e300])})
    words = invoke(tmp_path, "eval-ccc", manifest, "--gold", both[1] / "a.csv", status=65).stderr
    assert "value 1 (from 0) of the trace arousal is 1e+300" in words


def test_an_input_is_never_overwritten(both, tmp_path: Path) -> None:
    predicted, gold = both

    def refused(output: Path, *files: Path) -> str:
        before = output.read_bytes() if output.is_file() else b""
        words = invoke(
            tmp_path, "eval-ccc", *files, "--gold", gold, "-f", "-o", output, status=2
        ).stderr
        assert not before or output.read_bytes() == before
        return words

    assert "a report (JSON) is written" in refused(predicted / "a.csv", predicted)
    store = write_traces(tmp_path / "traces", {"a": {"arousal": wave(20, 10)}})
    assert "is an input (predictions)" in refused(store, store)
    (tmp_path / "folder").mkdir()
    assert "is a folder" in refused(tmp_path / "folder", predicted)
    # A report beside its predictions is none of them.
    invoke(tmp_path, "eval-ccc", predicted, "--gold", gold, "-o", predicted / "report.json")
    report = predicted / "report.json"
    assert (
        "is an input (report)"
        in invoke(tmp_path, "compare", report, "-f", "-o", report, status=2).stderr
    )


def test_ids_match_without_a_corpus_prefix(both, tmp_path: Path) -> None:
    _, gold = both
    traces = {f"sewa_{name}": {"arousal": wave(20, 10)} for name in "ab"}
    splits = {"sewa_a": {"split": "development"}, "sewa_b": {"split": "test"}}
    predicted = write_traces(tmp_path / "p.h5", traces, meta=splits)
    result = invoke(
        tmp_path, "eval-ccc", predicted, "--gold", gold, "--split", "development", "--json"
    )
    found = json.loads(result.stdout)
    assert (list(found["recordings"]), found["split"]) == (["a"], "development")
    assert result.stderr.count("sewa_a is a") == 1
    # The other way round: a folder's predictions, and gold that bears the prefix.
    found = json.loads(
        invoke(tmp_path, "eval-ccc", gold, "--gold", predicted, "--split", "all", "--json").stdout
    )
    assert found["pooled"]["arousal"]["count"] == 400
    # Of two that end alike, neither is taken.
    twice = {f"{corpus}_a": {"arousal": wave(20, 10)} for corpus in ("sewa", "recola")}
    meta = {name: {"split": "test"} for name in twice}
    predicted = write_traces(tmp_path / "twice.h5", twice, meta=meta)
    words = invoke(
        tmp_path, "eval-ccc", predicted, "--gold", gold, "--split", "test", status=65
    ).stderr
    assert "predictions are of sewa_a, recola_a, gold is of a, b" in words


def test_ewe_beyond_the_scale_is_no_marked_value(tmp_path: Path) -> None:
    """Weights 1, 1 and -1 of raters within the scale."""
    rising = np.linspace(-1, 1, 20)
    raters = np.stack([rising, rising, -0.9 * rising], axis=1)
    gold = write_traces(tmp_path / "g.h5", {"a": {"arousal": raters}}, raters=3)
    predicted = write_table(tmp_path / "p.csv", {"arousal": rising})
    command = ("eval-ccc", predicted, "--gold", gold, "--raters")
    words = invoke(tmp_path, *command, "ewe").stderr
    assert "beyond -1..1, but no rater does" in words and "mark unknown values" not in words
    assert "beyond -1" not in invoke(tmp_path, *command, "ewe-loo").stderr


def test_tables_without_names_are_told_so(both, tmp_path: Path) -> None:
    bare = tmp_path / "Train_02.csv"
    bare.write_text("'Train_02';0.000000;0.1;0.000000\n'Train_02';0.100000;0.2;0.000000\n")
    words = invoke(tmp_path, "eval-ccc", bare, "--gold", both[1] / "a.csv", status=65).stderr
    assert "Train_02.csv: its first line has numbers; it must have the column names" in words


def test_a_count_is_that_of_every_run_or_none(both, tmp_path: Path) -> None:
    one, unknown = wave(20, 10), np.full(200, np.nan)
    predicted = write_traces(
        tmp_path / "p.h5",
        {"a": {"arousal": np.stack([one, one], axis=1)},
         "b": {"arousal": np.stack([one, unknown], axis=1)}},
        raters=2,
    )  # fmt: skip
    result = invoke(tmp_path, "eval-ccc", predicted, "--gold", both[1], "--json")
    found = json.loads(result.stdout)
    assert found["pooled"]["arousal"]["count"] is None
    assert [run["pooled"]["arousal"]["count"] for run in found["runs"]] == [400, 200]
    assert found["recordings"]["a"]["arousal"]["count"] == 200
    assert "200 to 400 values of arousal" in result.stderr
    alone = write_traces(tmp_path / "one.h5", {"a": {"arousal": unknown}})
    words = invoke(tmp_path, "eval-ccc", alone, "--gold", both[1], status=65).stderr
    assert "nothing to score" in words and "run 0" not in words


def test_predictions_as_gold_and_long_overhangs_are_told(both, tmp_path: Path) -> None:
    predicted = write_traces(tmp_path / "p.h5", {"a": {"arousal": wave(20, 10)}})
    words = invoke(tmp_path, "eval-ccc", both[1], "--gold", predicted).stderr
    assert "p.h5: predict made this --gold" in words
    assert "made this" not in invoke(tmp_path, "eval-ccc", predicted, "--gold", both[1]).stderr
    long = write_table(tmp_path / "long.csv", {"arousal": wave(19970, 1)}, rate_hz=1)
    short = write_table(tmp_path / "short.csv", {"arousal": wave(20, 1)}, rate_hz=1)
    words = invoke(tmp_path, "eval-ccc", long, "--gold", short).stderr
    assert "by up to 19950 s (short)" in words
