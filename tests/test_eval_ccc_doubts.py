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
    assert "200 values of arousal in the gold are left out" in result.stderr
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
    assert "20 values of arousal in the gold are left out" in result.stderr


def test_times_in_milliseconds_are_refused(both, tmp_path: Path) -> None:
    slow = write_table(tmp_path / "slow.csv", {"arousal": wave(20, 10)}, rate_hz=0.01)
    words = invoke(tmp_path, "eval-ccc", slow, "--gold", both[1] / "a.csv", status=65).stderr
    assert "slow.csv: its times are 100 apart" in words and "milliseconds" in words


def test_values_beyond_every_scale_are_refused(both, tmp_path: Path) -> None:
    huge = write_table(tmp_path / "huge.csv", {"arousal": np.where(TEN_HZ == 3, 1e300, 0.1)})
    words = invoke(tmp_path, "eval-ccc", huge, "--gold", both[1] / "a.csv", status=65).stderr
    assert "huge.csv, line 32: arousal is '1e+300', which is no number" in words
    manifest = write_manifest(tmp_path / "huge.jsonl", {"a": np.array([0.1, 1e300])})
    words = invoke(tmp_path, "eval-ccc", manifest, "--gold", both[1] / "a.csv", status=65).stderr
    assert "value 1 (from 0) of the trace arousal is 1e+300" in words
