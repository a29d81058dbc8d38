"""The two sides of a comparison: stores of embeddings."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import option


@dataclass(frozen=True, kw_only=True)
class ComparedStores:
    """Commands that compare queries with a pool."""

    query: tuple[Path, ...] = option(
        MISSING, "Store of embeddings of the queries, or a pattern. Repeatable.", "--query",
        role="input", metavar="A.h5",
    )  # fmt: skip
    pool: tuple[Path, ...] = option(
        MISSING, "Store of embeddings of the pool, or a pattern of several, such as "
        "'shards/*.h5'. Repeatable.", "--pool", role="input", metavar="B.h5",
    )  # fmt: skip
