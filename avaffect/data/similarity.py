"""Similarities as a store: a row of cosines for each query, over the whole pool or its top K.

The utterances are the queries. The stream `similarity` has one row each; with a top K, the stream
`index` has the pool row (of its stores one after the other) of each value. The attribute `made` of
both has the content ids of the stores, so that the pool's ids are not written again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.embeddings import Embeddings
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import StreamSpec

SIMILARITY = "similarity"
INDEX = "index"


def stream_specs(queries: Embeddings, pool: Embeddings, top: int | None) -> dict[str, StreamSpec]:
    """The streams of a store of similarities; steps have no duration."""
    made = {
        "measure": "cosine",
        "query": queries.content_ids,
        "pool": pool.content_ids,
        "pool_count": len(pool),
    }
    specs = {SIMILARITY: StreamSpec(SIMILARITY, "float32", 0.0, made={**made, "top": top})}
    if top is not None:
        specs[INDEX] = StreamSpec(INDEX, "int64", 0.0, made=made)
    return specs


def open_similarity(
    path: Path, queries: Embeddings, pool: Embeddings
) -> tuple[np.ndarray, np.ndarray | None]:
    """The similarities in `path`, mapped; row i belongs to queries.ids[i].

    values (A, K) float32 and indices (A, K) int64 into the rows of the pool; without a top K is
    |B|, column j is row j, and indices are None.

    Raises DataError if the store has no similarities, those of other stores, or damaged ones.
    """
    store = Store(path)
    if SIMILARITY not in store.streams:
        raise DataError(f"{path} has no similarities; make them with `avaffect similarity`")
    made = store.streams[SIMILARITY].made
    for given in (queries, pool):
        if made.get(given.role) != given.content_ids:
            names = ", ".join(str(each.path) for each in given.stores)
            raise DataError(
                f"{path} has the similarities of other {given.role} stores than {names} (or of "
                "these in another order); run `avaffect similarity` on them again"
            )
    widths = np.unique(store.lengths(SIMILARITY))
    fits = (
        len(widths) == 1
        and store.ids == queries.ids
        and (INDEX in store.streams or widths[0] == len(pool))
    )
    if not fits:
        raise DataError(f"{path} is damaged: its rows do not fit its stores; make it again")
    for name in {SIMILARITY, INDEX} & store.streams.keys():
        store.verify_values(name)
    shape = (store.count, int(widths[0]))
    indices = store.values(INDEX).reshape(shape) if INDEX in store.streams else None
    return store.values(SIMILARITY).reshape(shape), indices
