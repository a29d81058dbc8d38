"""Embeddings for retrieval: one matrix over the stores of a role, made by one model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.patterns import expanded
from avaffect.core.rows import Matrix, Rows
from avaffect.data.dataset import unique_ids
from avaffect.data.store.reader import Store

EMBEDDING = "embedding"
BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of the stores of one role (query, pool), in order.

    ids: N strings, unique; vectors: (N, D) float32, not zero, mapped.
    """

    role: str
    stores: tuple[Store, ...]
    ids: list[str]
    vectors: Matrix

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rows(self) -> dict[str, int]:
        """id -> row."""
        return {identifier: row for row, identifier in enumerate(self.ids)}

    def meta(self, name: str) -> np.ndarray | None:
        """(N,) numbers or strings of a field; None if one of the stores lacks it."""
        if any(name not in store.meta for store in self.stores):
            return None
        return np.concatenate([np.asarray(store.meta[name]) for store in self.stores])

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
    ids = unique_ids(stores)
    if not ids:
        raise DataError(f"{', '.join(str(s.path) for s in stores)}: no embeddings to {role}")
    parts = [_checked_vectors(store) for store in stores]
    return Embeddings(role, stores, ids, parts[0] if len(parts) == 1 else Rows(parts))


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
        block = vectors[start : start + BLOCK_ROWS]
        squares = np.einsum("nd,nd->n", block, block)
        # A comparison with NaN is false.
        bad = np.flatnonzero(~((squares > 0) & (squares < np.inf)))
        if len(bad):
            raise DataError(
                f"{store.path}: the embedding of {store.ids[start + int(bad[0])]} is zero or not "
                f"finite ({len(bad)} in this block); extract the store again without it"
            )
    return vectors
