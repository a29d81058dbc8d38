"""Scores of traces: published values, identities, plain formulas, several recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from avaffect.evaluation import concordance

# Prediction, gold, and what published programs print: biased, unbiased.
GOLDEN = {
    "near": ([1, 2, 3, 4, 5], [1.1, 2.2, 2.9, 4.1, 5.3], 0.9922928709, 0.9929816443),
    "four": ([2.5, 0, 2, 8], [3, -0.5, 2, 7], 0.9767891683, 0.9777347531),
    "three": ([0, 1, 1], [0, 1, 2], 0.6666666667, 0.6923076923),
    "shifted": ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6], 0.8, 0.8333333333),
    "doubled": ([-2, -1, 0, 1, 2], [-4, -2, 0, 2, 4], 0.8, 0.8),
    "reversed": ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], -1, -1),
    "constant": ([0.5, 0.5, 0.5], [0.1, 0.4, 0.2], 0, 0),
}


@pytest.mark.parametrize("prediction, gold, biased, unbiased", GOLDEN.values(), ids=GOLDEN)
def test_golden_values(prediction, gold, biased: float, unbiased: float) -> None:
    for x, y in ((prediction, gold), (gold, prediction)):
        x, y = np.array(x, dtype=float), np.array(y, dtype=float)
        assert concordance.ccc(x, y) == pytest.approx(biased, abs=6e-11)
        assert concordance.ccc(x, y, biased=False) == pytest.approx(unbiased, abs=6e-11)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("value", [0.1, 0.3, -7.77, 0.0])
def test_constants(value: float, biased: bool) -> None:
    """0 or undefined, whatever a sum of equal values rounds to."""
    flat, other = np.full(7, value), np.linspace(-1, 1, 7)
    assert np.isnan(concordance.ccc(flat, flat, biased))
    assert concordance.ccc(flat, flat + 1, biased) == 0
    assert concordance.ccc(flat, other, biased) == concordance.ccc(other, flat, biased) == 0
    assert np.isnan(concordance.pearson(flat, other))
    assert concordance.rmse(flat, flat + 1) == pytest.approx(1)
    # Of one pair nothing varies.
    assert np.isnan(concordance.ccc(flat[:1], flat[:1], biased))
    assert concordance.ccc(flat[:1], flat[:1] + 1, biased) == 0


TRACE = arrays.arrays(
    np.float64, st.integers(2, 30), elements=st.floats(-1, 1, width=32), unique=True
)


@settings(max_examples=100, deadline=None)
@given(TRACE, st.integers(0, 2**32 - 1))
def test_against_the_plain_formulas(gold: np.ndarray, seed: int) -> None:
    prediction = gold + np.random.default_rng(seed).normal(size=len(gold))
    for biased in (True, False):
        x, y = list(map(float, prediction)), list(map(float, gold))
        n = len(x) if biased else len(x) - 1
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / n
        spread = sum((a - mean_x) ** 2 for a in x) / n + sum((b - mean_y) ** 2 for b in y) / n
        expected = 2 * covariance / (spread + (mean_x - mean_y) ** 2)
        found = concordance.ccc(prediction, gold, biased)
        assert found == pytest.approx(expected, abs=1e-12)
        assert abs(found) <= 1
        assert concordance.ccc(gold, gold, biased) == 1
        # A level and a unit that both share change nothing.
        assert concordance.ccc(5 * prediction - 3, 5 * gold - 3, biased) == pytest.approx(found)
    found = concordance.pearson(prediction, gold)
    assert found == pytest.approx(stats.pearsonr(prediction, gold)[0], abs=1e-9)
    assert concordance.rmse(prediction, gold) == pytest.approx(
        np.sqrt(np.mean((prediction - gold) ** 2))
    )
    assert concordance.mae(prediction, gold) == pytest.approx(np.mean(np.abs(prediction - gold)))


def test_unknown_values_are_left_out_in_pairs() -> None:
    x = np.array([1, np.nan, 2, 3, 4, 5, 9])
    y = np.array([1.1, 7, 2.2, 2.9, 4.1, 5.3, np.nan])
    assert concordance.ccc(x, y) == pytest.approx(0.9922928709)
    for score in (concordance.ccc, concordance.rmse):
        assert np.isnan(score(x[1:2], y[1:2]))


def test_what_is_no_pair_of_traces() -> None:
    for x, y, words in (
        (np.zeros(3), np.zeros(4), r"\(3,\).*\(4,\)"),
        (np.zeros((3, 1)), np.zeros((3, 1)), "shape"),
        (np.zeros(3), np.array([0, 1, np.inf]), "infinite"),
    ):
        with pytest.raises(ValueError, match=words):
            concordance.ccc(x, y)
    with pytest.raises(ValueError, match="nothing to score"):
        concordance.evaluate({"a": concordance.moments(np.full(3, np.nan), np.zeros(3))})


def recordings(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Recordings that differ in level: the level is predicted well, what goes on is not."""
    random = np.random.default_rng(seed)
    found = {}
    for k in range(6):
        gold = k + 0.1 * random.normal(size=30 + k)
        found[f"r{k}"] = gold + 0.1 * random.normal(size=len(gold)), gold
    return found


def test_pooled_is_one_trace_and_mean_is_over_recordings() -> None:
    pairs = recordings()
    moments = {name: concordance.moments(*pair) for name, pair in pairs.items()}
    whole = [np.concatenate(traces) for traces in zip(*pairs.values())]
    for biased in (True, False):
        found = concordance.evaluate(moments, biased)
        assert found.pooled.ccc == pytest.approx(concordance.ccc(*whole, biased), abs=1e-12)
        assert found.pooled.pearson == pytest.approx(concordance.pearson(*whole), abs=1e-12)
        assert found.pooled.rmse == pytest.approx(concordance.rmse(*whole))
        assert found.pooled.mae == pytest.approx(concordance.mae(*whole))
        assert found.pooled.count == len(whole[0]) == sum(range(30, 36))
        own = [concordance.ccc(*pair, biased) for pair in pairs.values()]
        assert found.mean.ccc == pytest.approx(np.mean(own))
        assert [found.recordings[name].ccc for name in pairs] == pytest.approx(own)
        assert found.recordings["r3"].count == 33
        assert found.pooled.ccc > 0.95 > 0.75 > found.mean.ccc


def test_a_level_that_recordings_share_costs_no_digits() -> None:
    pairs = {name: (x + 1e6, y + 1e6) for name, (x, y) in recordings().items()}
    found = concordance.evaluate({name: concordance.moments(*pair) for name, pair in pairs.items()})
    plain = concordance.evaluate(
        {name: concordance.moments(*pair) for name, pair in recordings().items()}
    )
    assert found.pooled.ccc == pytest.approx(plain.pooled.ccc, abs=1e-8)


def test_undefined_recordings_do_not_spoil_the_mean() -> None:
    flat = concordance.moments(np.full(5, 0.1), np.full(5, 0.1))
    nothing = concordance.moments(np.full(5, np.nan), np.zeros(5))
    some = concordance.moments(np.array([0.0, 1, 1]), np.array([0.0, 1, 2]))
    found = concordance.evaluate({"flat": flat, "nothing": nothing, "some": some})
    assert found.mean.ccc == pytest.approx(2 / 3)
    assert list(found.recordings) == ["flat", "some"]
    assert found.recordings["flat"].ccc is None
    assert found.pooled.count == 8
    alone = concordance.evaluate({"flat": flat, "again": flat})
    assert alone.pooled.ccc is alone.mean.ccc is None
    assert alone.pooled.rmse == 0


@pytest.mark.parametrize("biased", [True, False])
def test_resamples_are_recordings_drawn_again(biased: bool) -> None:
    pairs = list(recordings().values())
    moments = np.stack([concordance.moments(*pair) for pair in pairs])
    weights = np.array([[1, 1, 1, 1, 1, 1], [0, 3, 0, 1, 2, 0], [6, 0, 0, 0, 0, 0]])
    found = concordance.resampled(moments, weights, biased)
    for row, counts in enumerate(weights):
        drawn = [pair for pair, count in zip(pairs, counts) for _ in range(count)]
        whole = [np.concatenate(traces) for traces in zip(*drawn)]
        expected = concordance.ccc(*whole, biased)
        assert found["pooled"]["ccc"][row] == pytest.approx(expected, abs=1e-9)
        own = np.mean([concordance.ccc(*pair, biased) for pair in drawn])
        assert found["mean"]["ccc"][row] == pytest.approx(own)
