"""Rows of many arrays are read as those of one; retrieval draws the same from either."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chain import invoke
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from avaffect.core.rows import Rows
from avaffect.data import manifest
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.retrieval import similarity
from avaffect.retrieval.growing import grown
from avaffect.retrieval.sampling import sample

DIM = 4


def pool(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def cut(whole: np.ndarray, *places: int) -> Rows:
    return Rows(np.split(whole, places))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_are_read_as_those_of_one_array(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    whole = pool(sum(sizes))
    rows = cut(whole, *np.cumsum(sizes)[:-1])
    assert rows.shape == whole.shape and len(rows) == len(whole) and rows.dtype == whole.dtype
    edge = st.none() | st.integers(-1, len(whole) + 2)
    step = data.draw(st.sampled_from([None, 1, 2]))
    wanted = slice(data.draw(edge), data.draw(edge), step)
    assert np.array_equal(rows[wanted], whole[wanted])
    if len(whole):
        shape = data.draw(st.sampled_from([(0,), (7,), (2, 3)]))
        numbers = np.random.default_rng(len(whole)).integers(0, len(whole), size=shape)
        assert np.array_equal(rows.take(numbers), whole.take(numbers, axis=0))
        assert np.array_equal(rows[numbers.reshape(-1).tolist()], whole[numbers.reshape(-1)])


def test_within_a_part_nothing_is_copied() -> None:
    whole = pool(10)
    assert np.shares_memory(cut(whole, 4)[5:9], whole)
    assert not np.shares_memory(cut(whole, 4)[3:9], whole)


def test_what_is_no_row_is_refused() -> None:
    rows = cut(pool(6), 2)
    for wrong in ([6], [-1]):
        with pytest.raises(IndexError):
            rows[wrong]
    with pytest.raises(ValueError):
        rows.take(np.array([0]), axis=1)
    for parts in ([], [pool(2)[0]], [pool(2), pool(2)[:, :3]]):
        with pytest.raises(ValueError):
            Rows(parts)


@pytest.mark.parametrize("temperature", [0.1, 0.02])
@pytest.mark.parametrize("sampler", ["stream", "reject", "auto"])
def test_draws_from_many_parts_are_those_from_one(sampler: str, temperature: float) -> None:
    """Bit for bit, and so are similarities and normalisers; parts may be empty."""
    whole, queries = pool(3000), pool(5, seed=1)
    parts = cut(whole, 1, 1, 700, 1024, 2999)
    options = {"temperature": temperature, "draws": 20, "sampler": sampler, "seed": 3}
    one, many = (sample(queries, of, **options) for of in (whole, parts))
    for name in ("indices", "similarity", "log_normalizer", "effective_size", "exact"):
        assert np.array_equal(getattr(one, name), getattr(many, name)), name
    assert one.sampler == many.sampler


def test_neighbours_in_many_parts_are_those_in_one() -> None:
    whole, queries = pool(500), pool(3, seed=1)
    for found, expected in zip(
        similarity.top_k(queries, cut(whole, 100, 350), 7), similarity.top_k(queries, whole, 7)
    ):
        assert np.array_equal(found, expected)
    (one,), (other,) = (
        [slab for _, slab in similarity.cosine_rows(queries, of)] for of in (whole, cut(whole, 7))
    )
    assert np.array_equal(one, other)


def write(path: Path, vectors: np.ndarray, first: int, labels: bool = False) -> None:
    specs = {"emotion": LabelSpec("class", ("anger", "joy"))} if labels else {}
    made = {"version": "1", "settings": {}, "inputs": []}
    with store_writer(path, made, pooled={"embedding": PooledSpec(DIM)}, labels=specs) as writer:
        for row, vector in enumerate(vectors):
            own = {"emotion": ("anger", "joy")[row % 2]} if labels else {}
            writer.add(f"u{first + row:04}", pooled={"embedding": vector}, labels=own)


def test_a_pattern_of_shards_is_one_pool(tmp_path: Path) -> None:
    whole = pool(90)
    write(tmp_path / "query.h5", pool(6, seed=1), 5000, labels=True)
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(whole, [40, 41])):
        write(tmp_path / f"shards/{number}.h5", part, [0, 40, 41][number])
    shards = sorted((tmp_path / "shards").iterdir())
    invoke(tmp_path, "merge", *shards, "-o", "pool.h5")
    line = ("retrieve", "--query", "query.h5", "--draws", 9, "--seed", 4)
    lists = {
        "one": ("--pool", "pool.h5"),
        "many": ("--pool", "shards/*.h5"),
        "named": tuple(x for path in shards for x in ("--pool", path)),
    }
    for name, pools in lists.items():
        invoke(tmp_path, *line, *pools, "-o", f"{name}.jsonl")
    found = {name: manifest.read(tmp_path / f"{name}.jsonl") for name in lists}
    assert found["one"].items == found["many"].items == found["named"].items
    assert [len(found[name].header.stores["pool"]) for name in lists] == [1, 3, 3]
    assert len({u for item in found["many"].items for u in item["pool"]}) > 20
    missing = invoke(tmp_path, *line, "--pool", "none/*.h5", "-o", "x.jsonl", status=65)
    assert "none/*.h5" in missing.stderr


def test_draws_from_a_pool_that_grew_follow_the_softmax_of_all_of_it() -> None:
    whole, query = pool(30), pool(1, seed=1)
    options = {"temperature": 0.3, "draws": 40_000, "sampler": "stream"}
    before = sample(query, whole[:20], seed=5, **options)
    added = sample(query, whole[20:], seed=5, **options)
    found = grown(before, added, 20, seed=5)
    expected = sample(query, whole, seed=6, **options)
    assert found.log_normalizer == pytest.approx(expected.log_normalizer, abs=1e-6)
    assert found.effective_size == pytest.approx(expected.effective_size, rel=1e-5)
    wide = [of.astype(np.float64) for of in (whole, query)]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in wide]
    weights = np.exp(unit[0] @ unit[1][0] / 0.3)
    counts = np.bincount(found.indices[0], minlength=30)
    assert stats.chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 1e-3
    cosines = (unit[0] @ unit[1][0])[found.indices[0]]
    np.testing.assert_allclose(found.similarity[0], cosines, atol=1e-6)
    with pytest.raises(ValueError, match="estimated"):
        grown(replace(before, exact=np.zeros(1, dtype=bool)), added, 20, seed=5)
    with pytest.raises(ValueError, match="draws of"):
        grown(before, sample(query, whole[20:], temperature=0.3, draws=1, seed=5), 20, seed=5)


def test_only_what_was_added_is_drawn_from_anew(tmp_path: Path) -> None:
    whole = pool(90)
    write(tmp_path / "query.h5", pool(6, seed=1), 5000, labels=True)
    for number, (start, stop) in enumerate(((0, 60), (60, 90))):
        write(tmp_path / f"{number}.h5", whole[start:stop], start)
    line = ("retrieve", "--query", "query.h5", "--draws", 50, "--seed", 4, "--sampler", "stream")
    both = ("--pool", "0.h5", "--pool", "1.h5")
    invoke(tmp_path, *line, "--pool", "0.h5", "-o", "before.jsonl")
    invoke(tmp_path, *line, *both, "-o", "all.jsonl")
    invoke(tmp_path, *line, *both, "--grown", "before.jsonl", "-o", "grown.jsonl")
    assert (
        "up to date"
        in invoke(tmp_path, *line, *both, "--grown", "before.jsonl", "-o", "grown.jsonl").stderr
    )
    before, every, found = (
        manifest.read(tmp_path / f"{name}.jsonl") for name in ("before", "all", "grown")
    )
    kept = 0
    for old, new, other in zip(before.items, found.items, every.items, strict=True):
        assert new["log_normalizer"] == pytest.approx(other["log_normalizer"], abs=1e-5)
        assert new["effective_size"] == pytest.approx(other["effective_size"], rel=1e-3)
        same = [a == b for a, b in zip(old["pool"], new["pool"])]
        assert all(s or name >= "u0060" for s, name in zip(same, new["pool"]))
        kept += sum(same)
    assert 100 < kept < 290
    roles = [entry["role"] for entry in found.header.provenance["inputs"]]
    assert roles == ["query", "pool", "pool", "retrieval"]
    for options, status in (
        (("--pool", "0.h5", "--grown", "before.jsonl"), 65),
        (("--pool", "1.h5", "--pool", "0.h5", "--grown", "before.jsonl"), 65),
        ((*both, "--grown", "before.jsonl", "-T", 0.2), 65),
        ((*both, "--grown", "query.h5"), 65),
        ((*both, "--grown", "before.jsonl", "--sampler", "reject"), 2),
    ):
        invoke(tmp_path, *line, *options, "-o", "x.jsonl", status=status)
    assert not (tmp_path / "x.jsonl").exists()
    invoke(tmp_path, *line, "--pool", "0.h5", "--sampler", "reject", "-o", "by_reject.jsonl")
    words = invoke(tmp_path, *line, *both, "--grown", "by_reject.jsonl", "-o", "x.jsonl", status=65)
    assert "rejection" in words.stderr
