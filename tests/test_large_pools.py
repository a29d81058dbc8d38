"""Pools of many stores: what is read of them, and which stores make no pool together."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from chain import invoke
from hypothesis import given, settings
from hypothesis import strategies as st

from avaffect.core.errors import DataError
from avaffect.core.rows import Rows
from avaffect.data import distinct, manifest
from avaffect.data.embeddings import open_embeddings
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.retrieval.sampling import sample

DIM = 4
MADE = {"version": "1", "settings": {}, "inputs": []}
LINE = ("retrieve", "--query", "query.h5", "--draws", 9, "--seed", 4)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def write(path: Path, rows: np.ndarray, ids: list[str], model: str = "m", label: str = "") -> Path:
    labels = {"emotion": LabelSpec("class", ("joy",))} if label else {}
    pooled = {"embedding": PooledSpec(DIM, {"model": {"content_id": model}})}
    path.parent.mkdir(exist_ok=True)
    with store_writer(path, MADE, pooled=pooled, labels=labels) as writer:
        for identifier, row in zip(ids, rows, strict=True):
            own = {"emotion": label} if label else {}
            meta = {"duration_s": 2.5, "speaker": identifier[:1]}
            writer.add(identifier, pooled={"embedding": row}, labels=own, meta=meta)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A query store, and a pool of 70 utterances in one store and in shards, one of them empty."""
    write(tmp_path / "query.h5", vectors(6, 1), [f"q{n}" for n in range(6)], label="joy")
    whole, ids = vectors(70), [f"u{'x' * (n // 20)}{n}" for n in range(70)]
    write(tmp_path / "pool.h5", whole, ids)
    for number, (start, stop) in enumerate(((0, 1), (1, 1), (1, 50), (50, 70))):
        write(tmp_path / f"shards/{number}.h5", whole[start:stop], ids[start:stop])
    return tmp_path


@pytest.mark.parametrize("sampler", ["stream", "reject", "auto"])
def test_shards_of_any_size_draw_as_one_store(folder: Path, sampler: str) -> None:
    """Four patterns of shards, unequal and empty: the same items, byte for byte."""
    for name, pool in (("one", "pool.h5"), ("many", "shards/*.h5")):
        invoke(folder, *LINE, "--sampler", sampler, "--pool", pool, "-o", f"{name}.jsonl")
    one, many = (manifest.read(folder / f"{name}.jsonl") for name in ("one", "many"))
    assert one.items == many.items
    assert len(many.header.stores["pool"]) == 4


def test_only_the_ids_that_were_drawn_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids of ten million utterances take more memory than their embeddings."""
    column, read = Store._column, []

    def seen(store: Store, name: str):
        read.append((store.path.name, name))
        return column(store, name)

    monkeypatch.setattr(Store, "_column", seen)
    found = invoke(folder, *LINE, "--pool", "shards/*.h5", "-o", "r.jsonl")
    assert {name for name, _ in read} == {"query.h5"}
    drawn = {u for item in manifest.read(folder / "r.jsonl").items for u in item["pool"]}
    assert f"{len(drawn)} distinct" in found.stderr
    assert f"({len(drawn) * 2.5 / 3600:.2f} h)" in found.stderr


@pytest.mark.parametrize("dtype", ["float16", "mixed"])
@pytest.mark.parametrize("sampler", ["stream", "reject"])
def test_narrow_parts_draw_as_one_array(sampler: str, dtype: str) -> None:
    whole, queries = vectors(2000).astype(np.float16), vectors(3, 1)
    parts = np.split(whole, [10, 10, 900])
    if dtype == "mixed":
        parts[2] = parts[2].astype(np.float32)
    options = {"temperature": 0.1, "draws": 20, "sampler": sampler, "seed": 3}
    one, many = (sample(queries, of, **options) for of in (whole, Rows(parts)))
    assert np.array_equal(one.indices, many.indices)
    assert np.array_equal(one.similarity, many.similarity)


def test_stores_of_float16_are_a_pool(folder: Path) -> None:
    """Other programs write them; a sum of squares beyond float16 is none that is not finite."""
    path, big = folder / "half.h5", np.full((5, DIM), 300)
    write(path, big, [f"h{n}" for n in range(5)])
    with h5py.File(path, "a") as file:
        attributes = dict(file["pooled/embedding"].attrs)
        del file["pooled/embedding"]
        # Other programs write none.
        del file.attrs["column_digests"]
        file["pooled/embedding"] = big.astype(np.float16)
        file["pooled/embedding"].attrs.update(attributes)
    invoke(folder, *LINE, "--pool", "pool.h5", "--pool", "half.h5", "-o", "r.jsonl")
    assert manifest.read(folder / "r.jsonl").items[0]["normalizer"]


def test_shards_of_another_projector_are_refused(folder: Path) -> None:
    write(folder / "shards/9.h5", vectors(2, 5), ["v0", "v1"], model="other")
    found = invoke(folder, *LINE, "--pool", "shards/*.h5", "-o", "r.jsonl", status=65)
    assert "0.h5" in found.stderr and "9.h5" in found.stderr
    assert not (folder / "r.jsonl").exists()


def test_an_id_in_two_shards_is_refused(folder: Path) -> None:
    """Where the texts of one store are wider than those of the other."""
    write(folder / "shards/9.h5", vectors(2, 5), ["v" * 40, "ux33"])
    found = invoke(folder, *LINE, "--pool", "shards/*.h5", "-o", "r.jsonl", status=65)
    assert "ux33 " in found.stderr and "2.h5" in found.stderr and "9.h5" in found.stderr


class Shard:
    """As much of a store as `check_distinct` reads."""

    def __init__(self, number: int, ids: list[str]) -> None:
        self.path, self.count, self.ids = Path(f"{number}.h5"), len(ids), ids

    def id_blocks(self):
        texts = [name.encode() for name in self.ids]
        for start in range(0, len(texts), 2):
            yield np.array(texts[start : start + 2], dtype=np.bytes_)


texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(texts, max_size=4, unique=True), max_size=4), st.booleans())
def test_ids_are_compared_whole(lists: list[list[str]], alike: bool) -> None:
    """Though their numbers are equal."""
    every = [name for names in lists for name in names]
    with pytest.MonkeyPatch.context() as patch:
        if alike:
            patch.setattr(distinct, "hashes", lambda block: np.zeros(len(block), np.uint64))
        stores = [Shard(number, names) for number, names in enumerate(lists)]
        if len(set(every)) == len(every):
            distinct.check_distinct(stores)
            return
        with pytest.raises(DataError):
            distinct.check_distinct(stores)


def test_numbers_of_texts_do_not_depend_on_their_padding() -> None:
    names = ["", "a", "abcdefgh", "abcdefghi", "b" * 30]
    narrow = [distinct.hashes(np.array([name.encode()], dtype=np.bytes_))[0] for name in names]
    assert narrow == distinct.hashes(np.array([n.encode() for n in names], "S64")).tolist()
    many = np.array([f"vox_{n:09d}" for n in range(100_000)], dtype=np.bytes_)
    assert len(np.unique(distinct.hashes(many))) == len(many)
    assert len({"ab" * 8, "ba" * 8}) == len(set(distinct.hashes(np.array(
        ["ab" * 8, "ba" * 8], np.bytes_)).tolist()))  # fmt: skip


def test_an_empty_pool_is_refused(folder: Path) -> None:
    with pytest.raises(DataError):
        open_embeddings([folder / "shards/1.h5"], "pool")


def test_a_temperature_at_which_one_utterance_takes_all_is_said(folder: Path) -> None:
    """With the number of queries, by the probabilities themselves."""
    wide = [values.astype(np.float64) for values in (vectors(6, 1), vectors(70))]
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in wide]
    logits = unit[0] @ unit[1].T / 0.01
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    sizes = 1 / np.square(shares).sum(axis=1)
    single = int((sizes < 2).sum())
    assert 0 < single < 6 and (shares.max(axis=1)[sizes < 2] > 0.5).all()
    line = (*LINE, "--pool", "pool.h5")
    found = invoke(folder, *line, "-T", 0.01, "-o", "cold.jsonl").stderr
    assert f"{single} of 6 queries" in found and f"{sizes.min():.2f}" in found
    stated = [item["effective_size"] for item in manifest.read(folder / "cold.jsonl").items]
    np.testing.assert_allclose(stated, sizes, rtol=1e-3)
    assert "of 6 queries" not in invoke(folder, *line, "-T", 1, "-o", "warm.jsonl").stderr
