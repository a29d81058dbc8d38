from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from avaffect.retrieval import reject, sampling, stream
from avaffect.retrieval.reject import Patience, reject_sample
from avaffect.retrieval.sampling import sample, sample_similarity
from avaffect.retrieval.similarity import VectorError, unit_rows

SAMPLERS = ["stream", "reject"]
DRAWS = 100_000


def embeddings(seed: int, count: int, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32) * 2


def naive_softmax(queries: np.ndarray, pool: np.ndarray, temperature: float):
    """P (A, B) and log sum exp(S / T) (A,) by loops in float64, Eq. 5 as it stands."""
    probabilities, log_normalizer = np.empty((len(queries), len(pool))), np.empty(len(queries))
    for i, a in enumerate(queries.astype(float)):
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in pool.astype(float)]
        logits = np.array(cosines) / temperature
        shifted = np.exp(logits - logits.max())
        log_normalizer[i] = np.log(shifted.sum()) + logits.max()
        probabilities[i] = shifted / shifted.sum()
    return probabilities, log_normalizer


def chi_square(drawn: np.ndarray, probabilities: np.ndarray) -> float:
    """p-value of draws under `probabilities`; items expected less than five times are joined."""
    counts = np.bincount(drawn, minlength=len(probabilities)).astype(float)
    expected = probabilities * len(drawn)
    rare = expected < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    common = expected > 0
    assert counts[~common].sum() == 0
    return stats.chisquare(counts[common], expected[common]).pvalue


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, np.ndarray]:
    return embeddings(1, 3), embeddings(2, 60)


@pytest.mark.parametrize(
    ("sampler", "temperature"),
    [("stream", 0.03), ("stream", 0.3), ("reject", 0.15), ("reject", 0.3)],
)
def test_100000_draws_follow_the_softmax(sampler, temperature, small, monkeypatch):
    for name in ("TILE_ROWS", "SMALL_BLOCK"):  # 60 items: whole tiles, blocks and a remainder
        monkeypatch.setattr(stream, name, 8 if name == "TILE_ROWS" else 4)
    queries, pool = small
    truth, _ = naive_softmax(queries, pool, temperature)
    got = sample(queries, pool, temperature=temperature, draws=DRAWS, sampler=sampler, seed=5)
    assert got.sampler == sampler and not (sampler == "reject" and got.exact.any())
    for drawn, probabilities in zip(got.indices, truth):
        assert chi_square(drawn, probabilities) > 1e-3
        halves = [chi_square(half, probabilities) for half in np.split(drawn, 2)]
        assert min(halves) > 1e-3, "the order of the draws is not random"


def test_the_chi_square_sees_biased_samplers(small, monkeypatch):
    queries, pool = small
    truth, _ = naive_softmax(queries[:1], pool, 0.3)
    top = np.argsort(-truth[0])[:50]
    rng = np.random.default_rng(0)
    cut = rng.choice(top, size=DRAWS, p=truth[0, top] / truth[0, top].sum())
    assert chi_square(cut, truth[0]) < 1e-3
    warmer = sample(queries[:1], pool, temperature=0.31, draws=DRAWS, sampler="stream")
    assert chi_square(warmer.indices[0], truth[0]) < 1e-3
    honest = reject.acceptance

    def lenient(*arguments):
        logits, weights = honest(*arguments)
        return logits + 1, weights  # a bound that cosines above 0.7 break

    monkeypatch.setattr(reject, "acceptance", lenient)
    broken = sample(queries[:1], pool, temperature=0.3, draws=DRAWS, sampler="reject")
    assert chi_square(broken.indices[0], truth[0]) < 1e-3


def test_the_samplers_agree_with_each_other(small):
    queries, pool = small
    got = [
        sample(queries, pool, temperature=0.2, draws=DRAWS, sampler=name, seed=3).indices
        for name in SAMPLERS
    ]
    for first, second in zip(*got):
        table = np.array([np.bincount(x, minlength=len(pool)) for x in (first, second)])
        table = table[:, table.sum(axis=0) >= 10]
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_draw_of_many_equal_queries_follows_the_softmax(sampler, small):
    queries, pool = small
    truth, _ = naive_softmax(queries[:1], pool, 0.2)
    many = np.repeat(queries[:1], 20_000, axis=0)
    got = sample(many, pool, temperature=0.2, draws=1, sampler=sampler, seed=1)
    assert chi_square(got.indices[:, 0], truth[0]) > 1e-3
    halves = np.split(got.indices[:, 0], 2)
    assert (halves[0] != halves[1]).mean() > 0.5, "queries share their random numbers"


@settings(max_examples=40, deadline=None)
@given(
    queries=st.integers(1, 7),
    pool=st.integers(1, 45),
    dim=st.integers(1, 6),
    draws=st.integers(1, 20),
    temperature=st.sampled_from([1e-3, 0.01, 0.05, 0.1, 1.0, 1e6]),
    tile=st.sampled_from([8, 16]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_the_stream_is_exact_at_any_shape(queries, pool, dim, draws, temperature, tile, dtype):
    a, b = embeddings(1, queries, dim), embeddings(2, pool, dim).astype(dtype)
    probabilities, log_normalizer = naive_softmax(a, b, temperature)
    options = {"temperature": temperature, "draws": draws, "sampler": "stream"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "TILE_ROWS", tile)
        patch.setattr(stream, "TILE_QUERIES", 3)
        patch.setattr(stream, "SMALL_BLOCK", 4)
        got = sample(a, b, **options)
        patch.setattr(stream, "CHUNK_QUERIES", 2)
        again = sample(a, b, **options)
    rounding = 1e-6 / temperature + 1e-6
    np.testing.assert_allclose(got.log_normalizer, log_normalizer, atol=2 * rounding, rtol=1e-6)
    effective = 1 / (probabilities**2).sum(axis=1)
    np.testing.assert_allclose(got.effective_size, effective, rtol=8 * rounding)
    assert got.exact.all() and got.indices.shape == (queries, draws)
    assert (np.take_along_axis(probabilities, got.indices, axis=1) > 0).all()
    np.testing.assert_array_equal(again.indices, got.indices)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_similarity_is_that_of_the_draws_and_a_seed_repeats(sampler, small):
    queries, pool = small
    options = {"temperature": 0.1, "draws": 40, "sampler": sampler}
    got = sample(queries, pool, seed=4, **options)
    cosines = unit_rows(queries) @ unit_rows(pool).T
    truth = np.take_along_axis(cosines, got.indices, axis=1)
    np.testing.assert_allclose(got.similarity, truth, atol=1e-6)
    again = sample(queries, pool, seed=4, threads=1, **options)
    np.testing.assert_array_equal(again.indices, got.indices)
    assert (sample(queries, pool, seed=5, **options).indices != got.indices).any()


@pytest.mark.parametrize("sampler", [*SAMPLERS, "auto"])
def test_a_pool_of_one_item_gives_that_item(sampler):
    got = sample(embeddings(1, 3), embeddings(2, 1), temperature=0.1, draws=4, sampler=sampler)
    assert (got.indices == 0).all()
    np.testing.assert_allclose(got.effective_size, 1, rtol=1e-5)
    np.testing.assert_allclose(got.log_normalizer, got.similarity[:, 0] / 0.1, rtol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_copies_in_the_pool_share_their_mass(sampler):
    pool = np.vstack([np.repeat(embeddings(1, 1), 9, axis=0), embeddings(2, 6)])
    truth, _ = naive_softmax(embeddings(3, 1), pool, 0.5)
    got = sample(embeddings(3, 1), pool, temperature=0.5, draws=DRAWS, sampler=sampler)
    assert chi_square(got.indices[0], truth[0]) > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_cold_softmax_takes_the_nearest(sampler):
    pool = embeddings(2, 3000)
    cosines = unit_rows(embeddings(1, 4)) @ unit_rows(pool).T
    options = {"temperature": 1e-3, "draws": 30, "sampler": sampler}
    got = sample(embeddings(1, 4), pool, **options)
    probabilities, log_normalizer = naive_softmax(embeddings(1, 4), pool, 1e-3)
    nearest = (got.indices == cosines.argmax(axis=1)[:, None]).mean(axis=1)
    np.testing.assert_allclose(nearest, probabilities.max(axis=1), atol=0.25)
    assert np.isfinite(got.effective_size).all()
    np.testing.assert_allclose(got.log_normalizer[got.exact], log_normalizer[got.exact], rtol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_hot_softmax_is_uniform(sampler):
    got = sample(embeddings(1, 1), embeddings(2, 50), temperature=1e6, draws=DRAWS, sampler=sampler)
    assert chi_square(got.indices[0], np.full(50, 1 / 50)) > 1e-3
    assert got.effective_size[0] == pytest.approx(50, rel=1e-4)
    assert got.log_normalizer[0] == pytest.approx(np.log(50), abs=1e-4)


def test_rejection_estimates_without_bias():
    pool = embeddings(2, 500)
    probabilities, log_normalizer = naive_softmax(embeddings(1, 1), pool, 0.2)
    got = reject_sample(
        np.repeat(unit_rows(embeddings(1, 1)), 40_000, axis=0),
        pool,
        temperature=0.2,
        draws=2,
        round_size=16,
        patience=Patience(2**30),
        random=np.random.default_rng(0),
    )
    ratios = np.exp(got.log_normalizer - log_normalizer[0])
    error = ratios.std() / np.sqrt(len(ratios))
    assert abs(ratios.mean() - 1) < 4 * error < 0.05
    long_run = sample(
        embeddings(1, 1), pool, temperature=0.2, draws=DRAWS, sampler="reject"
    )  # a ratio's bias vanishes with the trials
    assert long_run.effective_size[0] == pytest.approx(1 / (probabilities**2).sum(), rel=0.02)
    assert long_run.log_normalizer[0] == pytest.approx(log_normalizer[0], abs=0.02)


def test_a_query_given_up_is_finished_exactly(small, monkeypatch):
    queries, pool = small
    truth, log_normalizer = naive_softmax(queries, pool, 0.2)
    monkeypatch.setattr(sampling, "_patience", lambda size, planned: Patience(2**14))
    got = sample(queries, pool, temperature=0.2, draws=DRAWS, sampler="reject", seed=2)
    assert got.exact.all() and got.sampler == "reject"
    np.testing.assert_allclose(got.log_normalizer, log_normalizer, rtol=1e-6)
    for drawn, probabilities in zip(got.indices, truth):
        assert chi_square(drawn, probabilities) > 1e-3
        # The first draws come from rejection, the last from the stream.
        assert chi_square(drawn[:500], probabilities) > 1e-3


def test_rejection_ends_where_nothing_is_accepted():
    pool = np.array([[1.0, 0.0]] * 40, np.float32)
    got = sample(-pool[:2], pool, temperature=0.01, draws=3, sampler="reject")
    assert got.exact.all()
    np.testing.assert_allclose(got.log_normalizer, np.log(40) - 100, rtol=1e-6)


def test_auto_takes_the_cheaper_sampler_and_says_why():
    centre = np.eye(1, 8, dtype=np.float32)
    near = centre + 0.02 * embeddings(1, 9000)
    options = {"temperature": 0.1, "draws": 5}
    got = sample(near[:9], near, **options)
    assert got.sampler == "reject" == got.pilot.sampler
    assert 5 <= got.pilot.trials < got.pilot.limit == 9000 / 67
    assert 0 < got.pilot.acceptance <= 1
    assert not got.exact.any()
    far = sample(embeddings(3, 9), embeddings(4, 9000), **options)
    assert far.sampler == "stream" and far.exact.all() and far.pilot.trials >= far.pilot.limit
    cold = sample(-near[:9], near, temperature=1e-3, draws=5)
    assert cold.sampler == "stream" and np.isfinite(cold.pilot.trials)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_read_only_memory_maps_serve_as_pools(tmp_path, sampler, dtype, small):
    queries, pool = small
    np.save(tmp_path / "pool.npy", pool.astype(dtype))
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    options = {"temperature": 0.1, "draws": 9, "sampler": sampler}
    got = sample(queries, mapped, **options)
    expected = sample(queries, pool.astype(dtype), **options)
    np.testing.assert_array_equal(got.indices, expected.indices)


@pytest.mark.parametrize("cut", [False, True])
def test_a_similarity_matrix_is_drawn_from_exactly(cut, small, monkeypatch):
    monkeypatch.setattr(sampling, "ROW_BYTES", 2 * 8 * (60 + DRAWS))
    queries, pool = small
    cosines = unit_rows(queries) @ unit_rows(pool).T
    kept = np.argsort(-cosines, axis=1)[:, : 7 if cut else 60]
    matrix = np.take_along_axis(cosines, kept, axis=1) if cut else cosines
    got = sample_similarity(matrix, kept if cut else None, temperature=0.2, draws=DRAWS, seed=1)
    weights = np.exp(np.take_along_axis(cosines, kept, axis=1).astype(float) / 0.2)
    for i in range(len(queries)):
        probabilities = np.zeros(60)
        probabilities[kept[i]] = weights[i] / weights[i].sum()
        assert chi_square(got.indices[i], probabilities) > 1e-3
        assert got.effective_size[i] == pytest.approx(1 / (probabilities**2).sum(), rel=1e-6)
    np.testing.assert_allclose(got.log_normalizer, np.log(weights.sum(axis=1)), rtol=1e-6)
    drawn = np.take_along_axis(cosines, got.indices, axis=1)
    np.testing.assert_array_equal(got.similarity, drawn)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"draws": 0}, "draws is 0"),
        ({"sampler": "guess"}, "sampler 'guess'"),
        ({"pool": np.empty((0, 8), np.float32)}, "no pool embeddings"),
        ({"queries": np.empty((0, 8), np.float32)}, "no query embeddings"),
        ({"pool": embeddings(1, 5, 4)}, "8 dimensions.* 4"),
    ],
)
def test_what_cannot_be_sampled_is_refused(options, words):
    usual = {"queries": embeddings(1, 2), "pool": embeddings(2, 5), "temperature": 0.1, "draws": 1}
    with pytest.raises(ValueError, match=words):
        sample(**{**usual, **options})


def test_the_pilot_names_the_row_of_the_pool():
    pool = embeddings(2, 5000)
    pool[4000:] = 0
    with pytest.raises(VectorError) as caught:
        sample(embeddings(1, 2), pool, temperature=0.1, draws=1)
    assert caught.value.row >= 4000


@pytest.mark.parametrize("sampler", [*SAMPLERS, "auto"])
@pytest.mark.parametrize("role", ["query", "pool"])
def test_a_bad_vector_is_named(sampler, role):
    sets = {"query": embeddings(1, 5), "pool": embeddings(2, 70)}
    sets[role][4] = np.nan
    with pytest.raises(VectorError, match=f"{role} vector 4 "):
        sample(sets["query"], sets["pool"], temperature=0.1, draws=2, sampler=sampler)


def test_a_similarity_matrix_that_does_not_fit_is_refused():
    matrix = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="indices of shape"):
        sample_similarity(matrix, np.zeros((2, 2), int), temperature=1, draws=1)
    with pytest.raises(ValueError, match="matrix is empty"):
        sample_similarity(matrix[:, :0], temperature=1, draws=1)
    matrix[1, 2] = np.nan
    with pytest.raises(ValueError, match="row 1 "):
        sample_similarity(matrix, temperature=1, draws=1)
