"""Embeddings for retrieval: one matrix over the stores of a role, made by one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.patterns import expanded
from avaffect.core.rows import Matrix, Rows
from avaffect.data.distinct import check_distinct
from avaffect.data.store.reader import Store

EMBEDDING = "embedding"
BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of the stores of one role (query, pool), in order.

    vectors: (N, D) float32, not zero, mapped. Ids and fields are read on use: those of a large pool
    take more memory than its embeddings.
    """

    role: str
    stores: tuple[Store, ...]
    vectors: Matrix

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def ids(self) -> list[str]:
        """N strings, unique."""
        return [identifier for store in self.stores for identifier in store.ids]

    def ids_at(self, rows: np.ndarray) -> list[str]:
        """The ids of `rows` (n,), which ascend, without all others in memory."""
        return [name for store, own in self._in_stores(rows) for name in store.ids_at(own)]

    def meta_at(self, name: str, rows: np.ndarray) -> np.ndarray | None:
        """(n,) numbers or strings of a field of `rows` (n,), which ascend; None if a store of
        theirs lacks it."""
        holders = list(self._in_stores(rows))
        if any(name not in store.meta for store, _ in holders):
            return None
        return np.concatenate([np.empty(0), *(s.meta_at(name, own) for s, own in holders)])

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """The row of each of `ids` that is there, without all others in memory."""
        wanted = {name.encode() for name in ids if isinstance(name, str)}
        found: dict[str, int] = {}
        first = 0
        for store in self.stores:
            for block in store.id_blocks():
                rows = (r for r, name in enumerate(block.tolist(), first) if name in wanted)
                found.update((block[row - first].decode(), row) for row in rows)
                first += len(block)
        return found

    def _in_stores(self, rows: np.ndarray) -> Iterator[tuple[Store, np.ndarray]]:
        """The stores that hold any of `rows`, which ascend, each with its own of them."""
        first = 0
        for store in self.stores:
            begin, end = np.searchsorted(rows, [first, first + store.count])
            if begin < end:
                yield store, rows[begin:end] - first
            first += store.count

    @property
    def content_ids(self) -> list[str]:
        """The content ids of the stores, in order."""
        return [store.content_id for store in self.stores]


def open_embeddings(paths: Iterable[Path], role: str) -> Embeddings:
    """Open the stores of a role together; paths may be patterns, such as shards/*.h5.

    Raises DataError if a pattern matches nothing, a store has no embeddings, a vector is zero or
    not finite, an id is in two of the stores, models differ, or there is no embedding at all.
    """
    stores = tuple(Store(path) for path in expanded(paths))
    check_same_model(stores)
    check_distinct(stores)
    if not any(store.count for store in stores):
        raise DataError(f"{', '.join(str(s.path) for s in stores)}: no embeddings to {role}")
    parts = [_checked_vectors(store) for store in stores]
    return Embeddings(role, stores, parts[0] if len(parts) == 1 else Rows(parts))


def check_same_model(stores: Sequence[Store]) -> None:
    """Raise DataError unless every store has embeddings, all of one model."""
    for store in stores:
        if EMBEDDING not in store.pooled:
            have = ", ".join(store.pooled) or "none"
            raise DataError(
                f"{store.path} has no embeddings (its pooled vectors: {have}); make them with "
                "`avaffect extract --model PROJECTOR`, or `avaffect import-features --embedding`"
            )
    for store in stores[1:]:
        if _model(store) != _model(stores[0]):
            raise DataError(
                f"the embeddings in {stores[0].path} and {store.path} were made by different "
                "models; extract both with one projector"
            )


def _model(store: Store) -> tuple[int, str | None, str | None, list[str] | None]:
    """The dimension, and the model's content id, or name and columns of what was imported; None
    where the store does not say."""
    spec = store.pooled[EMBEDDING]
    made = spec.made
    return (
        spec.dim, made.get("model", {}).get("content_id"), made.get("imported"), made.get("columns")
    )  # fmt: skip


def _checked_vectors(store: Store) -> np.ndarray:
    """The store's embeddings, mapped; DataError if one is zero or not finite."""
    vectors = store.pooled_vectors(EMBEDDING)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS].astype(np.float32, copy=False)
        squares = np.einsum("nd,nd->n", block, block)
        # A comparison with NaN is false.
        bad = np.flatnonzero(~((squares > 0) & (squares < np.inf)))
        if len(bad):
            raise DataError(
                f"{store.path}: the embedding of {store.ids[start + int(bad[0])]} is zero or not "
                f"finite ({len(bad)} in this block); extract the store again without it"
            )
    return vectors
