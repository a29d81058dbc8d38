"""Stores as recipes read them: opened, with masks of the utterances to use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.progress import Progress
from avaffect.data.embeddings import Embeddings
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store


def open_stores(paths: Iterable[Path]) -> list[Store]:
    return [Store(path) for path in paths]


def in_split(
    stores: Sequence[Store],
    split: str,
    annotations: Annotations | None = None,
    given: bool = False,
) -> list[np.ndarray]:
    """For each store, (N,) bool: utterances of `split`; all of a store without splits, unless
    `split` was `given` by the user.

    Raises DataError where there are utterances, but none of them is in this split.
    """
    known = annotations or Annotations({})
    masks = []
    found: set[str] = set()
    for store in stores:
        column = known.field(store, "split")
        if split == "all" or not (given or any(column)):
            masks.append(np.ones(store.count, dtype=bool))
        else:
            masks.append(np.array([value == split for value in column], dtype=bool))
            found |= set(column) - {""}
    if found and not any(mask.any() for mask in masks):
        raise DataError(
            f"{stores[0].path}: no utterance is in the split {split!r} (there are: "
            f"{', '.join(sorted(found))}){meant(split, found)}"
        )
    if any(mask.size for mask in masks) and not any(mask.any() for mask in masks):
        there = "folds" if any(any(known.field(store, "fold")) for store in stores) else "none"
        raise DataError(
            f"{stores[0].path}: no utterance is in the split {split!r}, for there are no splits "
            f"(there are: {there}); make them with `avaffect split`, or leave --split out"
        )
    return masks


def chosen_ids(stores: Sequence[Store], masks: Sequence[np.ndarray]) -> list[str]:
    """The ids of the utterances that the masks select, in order."""
    return [
        store.ids[row]
        for store, mask in zip(stores, masks)
        for row in np.flatnonzero(mask).tolist()
    ]


def concatenate(columns: Sequence[Sequence[Any]], masks: Sequence[np.ndarray]) -> list[Any]:
    """One value per selected utterance, from one column per store."""
    return [
        column[row] for column, mask in zip(columns, masks) for row in np.flatnonzero(mask).tolist()
    ]


def warn_of_itself(query: Embeddings, pool: Embeddings, progress: Progress) -> None:
    """Warn where a store, by its content, is among the queries and in the pool."""
    of_pool = dict(zip(pool.content_ids, pool.stores))
    for store in query.stores:
        if store.content_id in of_pool:
            progress.warn(
                f"{store.path} is a query store, and {of_pool[store.content_id].path} of the pool "
                "holds the same: each of its utterances is most similar to itself and retrieves "
                "itself; name another pool"
            )


def warn_of_lacking(
    stores: Sequence[Store], classes: Sequence[AbstractSet[str]], what: str, progress: Progress
) -> None:
    """Warn of classes that some of the stores lack: what is learned of these is the corpus, too.

    classes: of each store; what: of what it has none, "query".
    """
    everything = frozenset().union(*classes)
    for store, own in zip(stores, classes):
        lacking = sorted(everything - own)
        if lacking:
            progress.warn(
                f"{store.path} has no {what} of {', '.join(lacking)}, which other stores have; "
                "--classes takes the classes that all have, or merges some"
            )
