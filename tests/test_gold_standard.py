"""One gold standard of several raters: formulas, golden numbers, and where commands read it."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_features
import numpy as np
import pytest
from chain import invoke
from trace_sources import write_traces

from avaffect.core.progress import SILENT
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.evaluation.gold_standard import WAYS, gold_standard, rater_weights
from avaffect.recipes.downstream.labelled_data import trace_values
from avaffect.settings.base import RATERS

NAN = np.nan
# Three raters, four times.
RATED = np.array([[0.1, 0.2, 0.3, 0.4], [0, 0.2, 0.2, 0.5], [0.3, 0.1, 0.2, 0.2]]).T
GOLDEN = {
    "ewe": [0.031651, 0.207407, 0.253871, 0.468349],
    "ewe-loo": [0.056276, 0.2, 0.256276, 0.443724],
    "mean": [0.4 / 3, 0.5 / 3, 0.7 / 3, 1.1 / 3],
    "median": [0.1, 0.2, 0.2, 0.4],
}


def test_the_ways_are_those_of_the_commands() -> None:
    assert WAYS == RATERS and set(WAYS) == set(GOLDEN)


@pytest.mark.parametrize("way", WAYS)
def test_golden_numbers(way: str) -> None:
    np.testing.assert_allclose(gold_standard(RATED, way), GOLDEN[way], atol=1e-6)


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_weights_are_correlations(leave_one_out: bool) -> None:
    """Against the formula, written out."""
    for rater, weight in enumerate(rater_weights(RATED, leave_one_out)):
        others = [k for k in range(3) if k != rater or not leave_one_out]
        expected = np.corrcoef(RATED[:, rater], RATED[:, others].mean(axis=1))[0, 1]
        assert weight == pytest.approx(max(expected, 0.0) if leave_one_out else expected)


@pytest.mark.parametrize("way", WAYS)
def test_equal_raters_and_a_single_one_give_themselves(way: str) -> None:
    trace = np.array([0.1, NAN, 0.3, -0.2])
    np.testing.assert_allclose(gold_standard(np.stack([trace] * 3, axis=1), way), trace)
    np.testing.assert_array_equal(gold_standard(trace, way), trace)
    np.testing.assert_allclose(gold_standard(trace[:, None], way), trace)
    assert gold_standard(np.empty((0, 4), np.float32), way).shape == (0,)


def test_what_is_unknown_takes_no_part() -> None:
    values = RATED.copy()
    values[1, 2] = NAN
    values[3] = NAN
    assert np.isnan([gold_standard(values, way)[3] for way in WAYS]).all()
    assert gold_standard(values, "median")[1] == pytest.approx(0.2)
    assert gold_standard(values, "mean")[1] == pytest.approx(0.2)
    weights = rater_weights(values)
    known = ~np.isnan(values).any(axis=1)
    # Rater 2 is compared at the two times that it knows.
    mean = values[known].mean(axis=1)
    assert weights[2] == pytest.approx(np.corrcoef(values[known, 2], mean)[0, 1])
    expected = weights[:2] @ values[1, :2] / weights[:2].sum()
    assert gold_standard(values, "ewe")[1] == pytest.approx(expected)


@pytest.mark.parametrize("way", ["ewe", "ewe-loo"])
def test_raters_without_weight(way: str) -> None:
    """One who never moves, or knows nothing, changes nothing; where nobody moves it is the mean."""
    flat, empty = np.full(4, 0.9), np.full(4, NAN)
    moving = np.stack([RATED[:, 0], RATED[:, 1], empty], axis=1)
    with_flat = np.stack([RATED[:, 0], RATED[:, 1], flat], axis=1)
    if way == "ewe-loo":
        # Correlations do not see a constant.
        np.testing.assert_allclose(gold_standard(with_flat, way), gold_standard(moving, way))
    assert rater_weights(with_flat)[2] == 0
    constant = np.stack([flat, flat - 0.4], axis=1)
    np.testing.assert_allclose(gold_standard(constant, way), 0.7)
    # Where the one without weight is alone, it stands.
    alone = with_flat.copy()
    alone[0, :2] = NAN
    assert gold_standard(alone, way)[0] == pytest.approx(0.9)


def test_a_rater_against_the_others() -> None:
    trace = np.sin(np.arange(20))
    values = np.stack([trace, trace + 0.1, -trace / 2], axis=1)
    assert rater_weights(values, leave_one_out=True)[2] == 0
    assert rater_weights(values)[2] == pytest.approx(-1)
    np.testing.assert_allclose(gold_standard(values, "ewe-loo"), trace + 0.05, atol=1e-12)


def test_impossible_traces() -> None:
    for wrong, words in (
        (np.zeros((2, 2, 2)), "shape"), (np.array([[0.1, np.inf]]), "infinite"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            gold_standard(wrong, "ewe")
    with pytest.raises(ValueError, match="gold standard 'best'"):
        gold_standard(RATED, "best")


def test_finetune_and_eval_ccc_take_the_same(tmp_path: Path) -> None:
    """Of a store with raters, what is learned and what is scored is the golden trace."""
    path = write_traces(tmp_path / "g.h5", {"a": {"arousal": RATED}}, raters=3)
    for way, golden in GOLDEN.items():
        found = trace_values([Store(path)], "arousal", Annotations({}), way, SILENT)
        np.testing.assert_allclose(found.values[0], golden, atol=1e-6)
        predicted = write_traces(tmp_path / f"{way}.h5", {"a": {"arousal": np.array(golden)}})
        result = invoke(tmp_path, "eval-ccc", predicted, "--gold", path, "--raters", way, "--json")
        report = json.loads(result.stdout)
        assert report["pooled"]["arousal"]["ccc"] == pytest.approx(1, abs=1e-6)
        assert report["pooled"]["arousal"]["rmse"] < 1e-6 and report["raters"] == way
    assert "--raters" in invoke(tmp_path, "eval-ccc", path, "--gold", path, "--raters", "best",
                                status=2).stderr  # fmt: skip


def test_finetune_takes_the_option(tmp_path: Path) -> None:
    labelled_features.write(tmp_path / "f.h5")
    invoke(tmp_path, "finetune", "f.h5", "--label", "valence", "--raters", "ewe-loo",
           "--epochs", 1)  # fmt: skip


def test_an_infinite_value_is_told(tmp_path: Path) -> None:
    path = write_traces(tmp_path / "g.h5", {"a": {"arousal": np.array([0.1, np.inf])}})
    for command in (
        ("finetune", path, "--label", "arousal"), ("eval-ccc", path, "--gold", path),
    ):  # fmt: skip
        found = invoke(tmp_path, *command, status=65).stderr
        assert "arousal of a: a trace has an infinite value" in found
