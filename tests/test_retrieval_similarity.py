from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avaffect.retrieval import similarity


def embeddings(seed: int, count: int, dim: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32) * 3


def naive_cosines(queries: np.ndarray, pool: np.ndarray) -> np.ndarray:
    matrix = np.empty((len(queries), len(pool)))
    for i, a in enumerate(queries.astype(float)):
        for j, b in enumerate(pool.astype(float)):
            matrix[i, j] = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
    return matrix


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 8),
    st.integers(1, 50),
    st.integers(1, 17),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_cosines_and_top_k_agree_with_loops(queries, pool, dim, k, block, dtype):
    a, b = embeddings(1, queries, dim), embeddings(2, pool, dim).astype(dtype)
    truth = naive_cosines(a, b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK_ROWS", block)
        patch.setattr(similarity, "MATRIX_BYTES", 4 * pool * 2)
        slabs = list(similarity.cosine_rows(a, b))
        best, where = similarity.top_k(a, b, k)
    assert [first for first, _ in slabs] == list(range(0, queries, 2))
    np.testing.assert_allclose(np.vstack([slab for _, slab in slabs]), truth, atol=3e-6)
    assert best.shape == where.shape == (queries, min(k, pool))
    np.testing.assert_allclose(best, -np.sort(-truth, axis=1)[:, :k], atol=3e-6)
    np.testing.assert_allclose(best, np.take_along_axis(truth, where, axis=1), atol=3e-6)
    assert all(len(set(row)) == len(row) for row in where.tolist())


def test_equal_cosines_stand_in_the_order_of_the_pool():
    pool = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    _, where = similarity.top_k(np.array([[0.0, 1.0]], np.float32), pool, 6)
    assert where.tolist() == [[3, 4, 5, 0, 1, 2]]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("role", ["query", "pool"])
def test_a_vector_without_direction_is_named(role, value, monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK_ROWS", 4)
    sets = {"query": embeddings(1, 5, 3), "pool": embeddings(2, 11, 3)}
    row = 3 if role == "query" else 9
    sets[role][row] = value
    with pytest.raises(similarity.VectorError, match=f"{role} vector {row} ") as caught:
        similarity.top_k(sets["query"], sets["pool"], 2)
    assert (caught.value.role, caught.value.row) == (role, row)


def test_pairs_are_gathered_cosines(monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK_ROWS", 5)
    a, b = embeddings(1, 4, 6), embeddings(2, 9, 6)
    indices = np.random.default_rng(0).integers(0, 9, (4, 7))
    pairs = similarity.pair_cosines(similarity.unit_rows(a), b, indices)
    truth = np.take_along_axis(naive_cosines(a, b), indices, axis=1)
    np.testing.assert_allclose(pairs, truth, atol=1e-6)


def test_what_does_not_fit_is_refused():
    a = embeddings(1, 2, 3)
    with pytest.raises(ValueError, match=r"3 dimensions.* 4"):
        similarity.top_k(a, embeddings(1, 2, 4), 1)
    with pytest.raises(ValueError, match="no pool embeddings"):
        list(similarity.cosine_rows(a, a[:0]))
    with pytest.raises(ValueError, match="no query embeddings"):
        similarity.top_k(a[:0], a, 1)
    with pytest.raises(ValueError, match="1 axes"):
        similarity.top_k(a[0], a, 1)
    with pytest.raises(ValueError, match="neighbours is 0"):
        similarity.top_k(a, a, 0)
