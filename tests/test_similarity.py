"""`avaffect similarity` and what reads embeddings, through the real command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avaffect.core.errors import DataError
from avaffect.core.provenance import provenance
from avaffect.data.embeddings import open_embeddings
from avaffect.data.similarity import open_similarity
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.recipes import similarity as recipe
from avaffect.settings.similarity import SimilaritySettings

MODEL = {"model": {"content_id": "sha256:" + "a" * 64}}
OTHER = {"model": {"content_id": "sha256:" + "b" * 64}}


def write_embeddings(
    path: Path, vectors: np.ndarray, prefix: str, made: dict = MODEL, name: str = "embedding"
) -> Path:
    dim = vectors.shape[1]
    classes = ("anger", "joy")
    with store_writer(
        path,
        provenance("extract", {}, []),
        labels={"emotion": LabelSpec("class", classes)},
        pooled={name: PooledSpec(dim, made)},
    ) as writer:
        for row, vector in enumerate(vectors):
            writer.add(
                f"{prefix}{row}",
                pooled={name: vector},
                labels={"emotion": classes[row % 2]},
                meta={"duration_s": float(row)},
            )
    return path


def cosines(queries: np.ndarray, pool: np.ndarray) -> np.ndarray:
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, pool)]
    return units[0] @ units[1].T


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return (
        random.normal(size=(5, 4)).astype(np.float32),
        random.normal(size=(9, 4)).astype(np.float32),
    )


@pytest.fixture
def stores(tmp_path: Path, vectors) -> tuple[Path, Path]:
    return (
        write_embeddings(tmp_path / "a.h5", vectors[0], "a"),
        write_embeddings(tmp_path / "b.h5", vectors[1], "b"),
    )


def test_whole_matrix(avaffect, stores, vectors, tmp_path: Path) -> None:
    output = tmp_path / "s.h5"
    found = avaffect("similarity", "--query", stores[0], "--pool", stores[1], "-o", output)
    assert found.stdout == ""
    assert "5 x 9 similarities" in found.stderr
    store = Store(output)
    assert store.ids == Store(stores[0]).ids
    assert store.streams["similarity"].made["pool"] == [Store(stores[1]).content_id]
    expected = cosines(*vectors)
    for row in range(5):
        np.testing.assert_allclose(store.read("similarity", row), expected[row], atol=1e-6)
    values, indices = open_similarity(
        output, open_embeddings(stores[:1], "query"), open_embeddings(stores[1:], "pool")
    )
    assert indices is None
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert "similarity" in avaffect("info", output).stdout
    before = output.read_bytes()
    again = avaffect("similarity", "--query", stores[0], "--pool", stores[1], "-o", output)
    assert "up to date" in again.stderr
    refused = avaffect(
        "similarity", "--query", stores[1], "--pool", stores[0], "-o", output, status=73
    )
    assert "--force" in refused.stderr
    assert output.read_bytes() == before


@pytest.mark.parametrize("top", [3, 50])
def test_top_k_best_first(stores, vectors, tmp_path: Path, top: int) -> None:
    output = tmp_path / "s.h5"
    recipe.similarity(SimilaritySettings(query=stores[:1], pool=stores[1:], output=output, top=top))
    values, indices = open_similarity(
        output, open_embeddings(stores[:1], "query"), open_embeddings(stores[1:], "pool")
    )
    expected = cosines(*vectors)
    order = np.argsort(-expected, axis=1)[:, :top]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(values, np.take_along_axis(expected, order, axis=1), atol=1e-6)


def test_top_k_is_the_same_in_parts(stores, vectors, tmp_path: Path, monkeypatch) -> None:
    found = []
    for part in (recipe.TOP_VALUES, 4):
        monkeypatch.setattr(recipe, "TOP_VALUES", part)
        settings = SimilaritySettings(
            query=stores[:1], pool=stores[1:], output=tmp_path / f"{part}.h5", top=2
        )
        recipe.similarity(settings)
        queries, pool = open_embeddings(stores[:1], "query"), open_embeddings(stores[1:], "pool")
        found.append(open_similarity(settings.output, queries, pool))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-6)
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_several_stores_of_a_role_are_one_pool(avaffect, stores, vectors, tmp_path: Path) -> None:
    more = np.random.default_rng(3).normal(size=(4, 4)).astype(np.float32)
    second = write_embeddings(tmp_path / "c.h5", more, "c")
    output = tmp_path / "s.h5"
    pool = ("--pool", stores[1], "--pool", second)
    avaffect("similarity", "--query", stores[0], *pool, "-o", output)
    queries = open_embeddings(stores[:1], "query")
    both = open_embeddings([stores[1], second], "pool")
    assert both.ids == [*Store(stores[1]).ids, *Store(second).ids]
    every = np.arange(13)
    np.testing.assert_array_equal(both.meta_at("duration_s", every), [*range(9), *range(4)])
    assert both.meta_at("speaker", every) is None
    some = np.array([0, 8, 9, 12])
    assert both.ids_at(some) == [both.ids[row] for row in some]
    assert both.rows_of([*both.ids_at(some), "none"]) == dict(zip(both.ids_at(some), some))
    values, _ = open_similarity(output, queries, both)
    expected = cosines(vectors[0], np.concatenate([vectors[1], more]))
    np.testing.assert_allclose(values, expected, atol=1e-6)
    with pytest.raises(DataError, match="other pool stores"):
        open_similarity(output, queries, open_embeddings([second, stores[1]], "pool"))
    with pytest.raises(DataError, match="has no similarities"):
        open_similarity(second, queries, both)


def test_dry_run_writes_nothing(avaffect, stores, tmp_path: Path) -> None:
    output = tmp_path / "s.h5"
    found = avaffect("similarity", "-n", "--query", stores[0], "--pool", stores[1], "-o", output)
    assert "would compare 5 queries with 9" in found.stderr
    assert not output.exists()


def test_bad_embeddings_are_refused(stores, vectors, tmp_path: Path) -> None:
    def refused(query: Path, *pool: Path) -> str:
        settings = SimilaritySettings(query=(query,), pool=pool, output=tmp_path / "s.h5")
        with pytest.raises(DataError) as caught:
            recipe.similarity(settings)
        assert not settings.output.exists()
        return str(caught.value)

    other = write_embeddings(tmp_path / "other.h5", vectors[1], "b", OTHER)
    words = refused(stores[0], other)
    assert "different models" in words and "a.h5" in words and "other.h5" in words
    twin = write_embeddings(tmp_path / "twin.h5", vectors[1][:1], "b")
    words = refused(stores[0], stores[1], twin)
    assert "id b0 is in" in words and "b.h5" in words and "twin.h5" in words
    for name, value in (("zero", 0.0), ("nan", np.nan), ("inf", np.inf)):
        bad = vectors[1].copy()
        bad[3] = value
        words = refused(stores[0], write_embeddings(tmp_path / f"{name}.h5", bad, "n"))
        assert "n3" in words and f"{name}.h5" in words
    words = refused(write_embeddings(tmp_path / "m.h5", vectors[0], "m", name="mean"), stores[1])
    assert "no embeddings" in words and "mean" in words
    words = refused(stores[0], write_embeddings(tmp_path / "empty.h5", vectors[1][:0], "e"))
    assert "empty.h5" in words


def test_a_store_cut_short_ends_with_65(avaffect, stores, tmp_path: Path) -> None:
    short, output = tmp_path / "short.h5", tmp_path / "s.h5"
    short.write_bytes(stores[1].read_bytes()[:-100])
    found = avaffect("similarity", "--query", stores[0], "--pool", short, "-o", output, status=65)
    assert "short.h5" in found.stderr and "Traceback" not in found.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "short.h5"]


def test_top_is_at_least_one(avaffect, stores, tmp_path: Path) -> None:
    avaffect(
        "similarity", "--query", stores[0], "--pool", stores[1], "--top", 0,
        "-o", tmp_path / "s.h5", status=2,
    )  # fmt: skip
