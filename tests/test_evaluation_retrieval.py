"""Pseudo-label accuracy: drawn, expected and nearest, by hand and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from avaffect.evaluation import retrieval_quality as quality

QUERIES = np.array([0, 0, 1, -1])
POOL = np.array([0, 1, 2, -1])
SIMILARITY = np.log(
    np.array([[4.0, 2, 1, 1], [1, 1, 1, 1], [1, 6, 2, 1], [9, 1, 1, 1]], dtype=np.float64)
)


def test_drawn_by_hand() -> None:
    items = np.array([[0, 0, 2], [1, -1, 0], [1, 1, 1], [0, 0, 0]])
    matrix = quality.drawn(QUERIES, items, 3)
    np.testing.assert_array_equal(matrix, [[3, 1, 1], [0, 3, 0], [0, 0, 0]])
    found = quality.evaluate(matrix, ["anger", "fear", "joy"])
    assert found.accuracy == pytest.approx(6 / 8)
    assert found.macro == pytest.approx((3 / 5 + 1) / 2)
    assert found.to_dict()["per_class"] == {
        "anger": {"accuracy": pytest.approx(0.6), "count": 5},
        "fear": {"accuracy": 1.0, "count": 3},
        "joy": {"accuracy": None, "count": 0},
    }
    assert found.count == 8


@pytest.mark.parametrize("block_bytes", [1, quality.BLOCK_BYTES])
def test_expected_by_hand(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "BLOCK_BYTES", block_bytes)
    matrix = quality.expected(QUERIES, POOL, SIMILARITY, 1.0, 3)
    first = np.array([4, 2, 1]) / 8 + np.array([1, 1, 1]) / 4
    np.testing.assert_allclose(matrix, [first, np.array([1, 6, 2]) / 10, [0, 0, 0]])
    # T = 0.5 squares the weights.
    squared = quality.expected(QUERIES[2:3], POOL, SIMILARITY[2:3], 0.5, 3)
    np.testing.assert_allclose(squared[1], np.array([1, 36, 4]) / 42)


def test_parts_add_up_and_a_low_temperature_takes_the_nearest() -> None:
    random = np.random.default_rng(1)
    queries, pool = random.integers(-1, 3, 30), random.integers(0, 3, 40)
    similarity = random.uniform(-1, 1, (30, 40)).astype(np.float32)
    whole = quality.expected(queries, pool, similarity, 0.1, 3)
    parts = [
        quality.expected(queries[s], pool, similarity[s], 0.1, 3)
        for s in (slice(0, 11), slice(11, 30))
    ]
    np.testing.assert_allclose(sum(parts), whole)
    assert whole.sum() == pytest.approx((queries >= 0).sum())
    cold = quality.expected(queries, pool, similarity, 1e-6, 3)
    np.testing.assert_allclose(cold, quality.nearest(queries, pool, similarity, 3), atol=1e-6)


def test_draws_converge_to_the_expectation() -> None:
    random = np.random.default_rng(2)
    queries, pool = random.integers(0, 3, 20), random.integers(0, 3, 30)
    similarity = random.uniform(-1, 1, (20, 30))
    shares = np.exp(similarity / 0.3)
    shares /= shares.sum(axis=1, keepdims=True)
    items = np.stack([pool[random.choice(30, 4000, p=row)] for row in shares])
    drawn = quality.evaluate(quality.drawn(queries, items, 3), "abc")
    expected = quality.evaluate(quality.expected(queries, pool, similarity, 0.3, 3), "abc")
    # 80,000 draws: a standard error below 0.0018.
    assert drawn.accuracy == pytest.approx(expected.accuracy, abs=0.009)
    assert drawn.macro == pytest.approx(expected.macro, abs=0.015)


def test_nearest_passes_over_items_of_unknown_label() -> None:
    similarity = np.array([[0.1, 0.2, 0.3, 0.9]])
    matrix = quality.nearest(np.array([2]), POOL, similarity, 3)
    np.testing.assert_array_equal(matrix[2], [0, 0, 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quality.expected(QUERIES, POOL[:2], SIMILARITY, 1, 3), "do not fit"),
        (lambda: quality.expected(QUERIES, POOL, SIMILARITY, 0, 3), "must be positive"),
        (lambda: quality.expected(QUERIES, POOL, SIMILARITY, 1, 2), "indices from -1 to 1"),
        (lambda: quality.nearest(QUERIES, np.full(4, -1), SIMILARITY, 3), "no item of the pool"),
        (lambda: quality.drawn(QUERIES, POOL[None], 3), "items of shape"),
        (lambda: quality.evaluate(np.zeros((3, 3)), "abc"), "nothing to score"),
    ],
)
def test_what_does_not_fit_is_refused(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
