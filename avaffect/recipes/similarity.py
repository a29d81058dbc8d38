"""`similarity`: cosines of two sets of embeddings as a store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data.embeddings import Embeddings, check_same_model, open_embeddings
from avaffect.data.similarity import INDEX, SIMILARITY, stream_specs
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.stores import warn_of_itself
from avaffect.settings.similarity import SimilaritySettings

TOP_VALUES = 1 << 22
"""Values of a top K that are in memory at a time."""


def similarity(settings: SimilaritySettings, progress: Progress = SILENT) -> None:
    """Write the cosine matrix of queries and pool, or its top K, block by block.

    Raises DataError if embeddings are missing, of different models, zero or not finite.
    """
    queries = open_embeddings(settings.query, "query")
    pool = open_embeddings(settings.pool, "pool")
    check_same_model([*queries.stores, *pool.stores])
    warn_of_itself(queries, pool, progress)
    made = work.record(
        "similarity",
        settings,
        work.store_inputs("query", queries.stores),
        work.store_inputs("pool", pool.stores),
    )
    width = len(pool) if settings.top is None else min(settings.top, len(pool))
    value_bytes = 4 if settings.top is None else 12
    size = f"{len(queries) * width * value_bytes / 2**20:.1f} MiB"
    plan = (
        f"compare {count_of(len(queries), 'query')} with {count_of(len(pool), 'utterance')} of the "
        f"pool ({size})"
    )
    if publishing.is_done(settings, made, progress, plan):
        return
    progress.detail(plan)
    progress.start("similarity", len(queries), "queries")
    streams = stream_specs(queries, pool, settings.top)
    with store_writer(settings.output, made, streams=streams) as writer:
        for row, values in enumerate(_rows(queries, pool, settings.top)):
            writer.add(queries.ids[row], streams=values)
            progress.advance()
    progress.finish()
    progress.say(f"{settings.output}: {len(queries)} x {width} similarities, {size}")


def _rows(
    queries: Embeddings, pool: Embeddings, top: int | None
) -> Iterator[dict[str, np.ndarray]]:
    """The streams of each query in turn."""
    from avaffect.retrieval.similarity import cosine_rows, top_k

    if top is None:
        for _, slab in cosine_rows(queries.vectors[:], pool.vectors):
            for row in slab:
                yield {SIMILARITY: row}
        return
    height = max(1, TOP_VALUES // min(top, len(pool)))
    for start in range(0, len(queries), height):
        values, indices = top_k(queries.vectors[start : start + height], pool.vectors, top)
        for row, places in zip(values, indices):
            yield {SIMILARITY: row, INDEX: places}
