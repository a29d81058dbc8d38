"""A retrieval from the first stores of a pool, to which others were added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.embeddings import Embeddings
from avaffect.data.manifest import Manifest
from avaffect.settings.retrieve import RetrieveSettings

if TYPE_CHECKING:
    from avaffect.retrieval.sampling import Retrieved


def check(
    before: Manifest, settings: RetrieveSettings, query: Embeddings, pool: Embeddings,
    asked: Sequence[str],
) -> int:  # fmt: skip
    """The number of the pool's stores that the retrieval was drawn from.

    asked: ids of the queries. Raises DataError where it was drawn otherwise, from other stores, or
    its normalisers are estimates.
    """
    made, stores = before.header.made_with, before.header.stores or {}
    for name in ("temperature", "draws", "label"):
        own, other = getattr(settings, name), getattr(made, name)
        if own != other:
            raise DataError(f"{before.name} has {name} {other}, and {own} is asked for here")
    known = {role: [one.content_id for one in stores.get(role, ())] for role in ("query", "pool")}
    count = len(known["pool"])
    if known["query"] != query.content_ids or known["pool"] != pool.content_ids[:count]:
        raise DataError(
            f"{before.name} was drawn from other stores, or in another order: name its own pool "
            "first, and what was added behind"
        )
    if [item.get("query") for item in before.items] != list(asked):
        raise DataError(f"{before.name} is of other queries than these")
    if any(item.get("normalizer") != "exact" for item in before.items):
        raise DataError(
            f"{before.name} was drawn by rejection, which costs no more on a larger pool: draw "
            "anew without --grown"
        )
    if count == len(pool.stores):
        raise DataError(f"{before.name} was drawn from all of this pool: nothing was added")
    return count


def drawn(before: Manifest, pool: Embeddings, path: Path) -> Retrieved:
    """Its draws, as rows of the pool. Raises DataError for ids that the pool lacks."""
    from avaffect.retrieval.sampling import Retrieved

    rows_of = pool.rows_of(name for item in before.items for name in item["pool"])
    try:
        rows = [[rows_of[name] for name in item["pool"]] for item in before.items]
    except KeyError as error:
        raise DataError(f"{path} draws {error.args[0]}, which the pool lacks") from error

    def column(name: str) -> np.ndarray:
        return np.array([item[name] for item in before.items], dtype=np.float64)

    return Retrieved(
        indices=np.array(rows, dtype=np.int64),
        similarity=column("similarity").astype(np.float32),
        log_normalizer=column("log_normalizer"),
        effective_size=column("effective_size"),
        exact=np.ones(len(rows), dtype=bool),
        sampler="stream",
    )
