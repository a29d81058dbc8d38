"""Vectors of utterances (/pooled) as features: which of them are read, and where each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.streams import FEATURES
from avaffect.data.dataset import VectorColumn
from avaffect.data.store.reader import Store


@dataclass(frozen=True)
class ChosenVectors:
    """(N, D) float32: the vectors of `indices` (N,) of a column, read where they lie; zeros where
    one is missing. A film has one for each of its frames: no copy of all is in memory."""

    column: VectorColumn
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        return self.column.rows(self.indices[places])

    def subset(self, places: np.ndarray) -> ChosenVectors:
        """Those at `places` (n,), in that order."""
        return ChosenVectors(self.column, self.indices[places])


def chosen_vectors(stores: Sequence[Store], wanted: str | None = None) -> str | None:
    """The name of the vectors that are read of these stores; None where frames are: they come first
    unless vectors are named.

    wanted: a name that counts where a store has it. Raises DataError where there are vectors of
    several names and none is wanted.
    """
    names = list(dict.fromkeys(name for store in stores for name in store.pooled))
    if wanted in names:
        return wanted
    if not names or any(FEATURES in store.streams for store in stores):
        return None
    if len(names) > 1:
        paths = " and ".join(str(store.path) for store in stores)
        raise DataError(
            f"{paths}: there are vectors {' and '.join(names)}; choose some, such as "
            f"--vectors {names[0]}"
        )
    return names[0]


def check_wanted(stores: Sequence[Store], wanted: str | None) -> None:
    """Raises DataError where vectors are named that no store has."""
    if wanted is None or any(wanted in store.pooled for store in stores):
        return
    known = dict.fromkeys(name for store in stores for name in store.pooled)
    paths = " or ".join(str(store.path) for store in stores)
    raise DataError(
        f"--vectors {wanted}: no such vectors in {paths} (there: {', '.join(known) or 'none'})"
        f"{meant(wanted, known)}"
    )


def vectors_of(stores: Sequence[Store], ids: Sequence[str], name: str) -> VectorColumn:
    """Look `ids` up in the stores that have the pooled vectors `name`, all of one width.

    A vector is missing for ids in none of them, and where `extract` wrote nothing but zeros, as it
    does for an utterance without a frame. Raises DataError where a value is NaN or infinite.
    """
    holders = [store for store in stores if name in store.pooled]
    holders = [store for store in holders if store.count] or holders[:1]
    store_of = np.full(len(ids), -1, dtype=np.int64)
    row_of = np.full(len(ids), -1, dtype=np.int64)
    for number, store in enumerate(holders):
        rows = np.array([store.rows.get(identifier, -1) for identifier in ids], dtype=np.int64)
        finite, there = _vectors_there(store, name)
        # Row -1, of an id that the store lacks, has a place at the end.
        finite, there = np.append(finite, True), np.append(there, False)
        wrong = [ids[place] for place in np.flatnonzero(~finite[rows]).tolist()]
        if wrong:
            raise DataError(
                f"{store.path}: the vectors (/pooled/{name}) of "
                f"{count_of(len(wrong), 'utterance has', 'utterances have')} missing values (NaN "
                f"or infinite), such as {wrong[0]}: make the store without them (import-features "
                "--drop-nan 0)"
            )
        found = there[rows] & (store_of < 0)
        store_of[found] = number
        row_of[found] = rows[found]
    return VectorColumn(holders, store_of, row_of, 0.0, name)


@lru_cache(maxsize=4)
def _vectors_there(store: Store, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool each: vectors that are numbers; those that are there. Zeros are values of their own
    where they were imported from another tool."""
    finite, there = np.zeros((2, store.count), dtype=bool)
    imported, start = "imported" in store.pooled[name].made, 0
    for block in store.pooled_blocks(name):
        rows = slice(start, start := start + len(block))
        finite[rows] = np.isfinite(block).all(axis=1)
        there[rows] = imported | block.any(axis=1)
    return finite, there
