"""What retrieved utterances share with their query besides the label, against chance: does a
retrieval follow emotion, or the voice?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.evaluation.retrieval_quality import Shared, shared
from avaffect.recipes.common.lineage import embedding_stores
from avaffect.recipes.scoring.fields import CORPUS, corpus_of

LABEL, SPEAKER = "label", "speaker"
FIELDS = (SPEAKER, "sex", CORPUS, "text")
SECONDS_AN_HOUR = 3600.0

# The value of each utterance of a role, by id; None where it is unknown.
Values = Mapping[str, str | None]


@dataclass(frozen=True)
class Agreement:
    """pool: its utterances; hours, pool_hours: of the distinct ones that were drawn, and of all;
    shared: label and field -> how often draws have that of their query. None and {} where the
    stores are not there."""

    pool: int | None = None
    hours: float | None = None
    pool_hours: float | None = None
    shared: dict[str, Shared] = field(default_factory=dict)


def agreement(
    found: Manifest,
    classes_of: Values,
    rename: Callable[[str | None], str | None],
    progress: Progress,
) -> Agreement:
    """Of a retrieval. classes_of: class of a pool's utterance; rename: a query's label -> class."""
    pool = _stores(found, "pool", progress)
    if not pool:
        return Agreement()
    queries = _stores(found, "query", progress)
    own = {name: _column(queries, name) for name in FIELDS}
    known = {name: _column(pool, name) for name in FIELDS}
    known[LABEL] = {i: classes_of.get(i) for store in pool for i in store.ids}
    compared: dict[str, list[tuple[str | None, str | None]]] = {name: [] for name in known}
    for item in found.items:
        for name, pairs in compared.items():
            if name == LABEL:
                mine = rename(item.get("label"))
            else:
                mine = own[name].get(item.get("query", "")) or _text(item.get(name))
            pairs += [(mine, known[name].get(drawn)) for drawn in item["pool"]]
    agreeing = {name: shared(compared[name], Counter(known[name].values())) for name in known}
    drawn = {identifier for item in found.items for identifier in item["pool"]}
    hours = _hours(pool)
    return Agreement(
        pool=sum(store.count for store in pool),
        hours=None if hours is None else sum(hours.get(identifier, 0.0) for identifier in drawn),
        pool_hours=None if hours is None else sum(hours.values()),
        shared={name: share for name, share in agreeing.items() if share is not None},
    )


def _stores(found: Manifest, role: str, progress: Progress) -> list[Store]:
    try:
        return embedding_stores(found, role)
    except DataError as error:
        progress.detail(f"what draws share with their query is not known: {error}")
        return []


def _column(stores: Sequence[Store], name: str) -> dict[str, str | None]:
    return {i: v for store in stores for i, v in zip(store.ids, _column_of(store, name))}


def _column_of(store: Store, name: str) -> list[str | None]:
    """A field of each utterance of a store; the corpus also from the beginning of its id."""
    if name in store.meta:
        return [_text(value) for value in store.meta[name]]
    if name != CORPUS:
        return [None] * store.count
    return list(map(corpus_of, store.ids))


def _text(value: object) -> str | None:
    return " ".join(str(value).lower().split()) or None if value is not None else None


def _hours(stores: Sequence[Store]) -> dict[str, float] | None:
    if any("duration_s" not in store.meta for store in stores):
        return None
    return {
        identifier: seconds / SECONDS_AN_HOUR
        for store in stores
        for identifier, seconds in zip(store.ids, np.asarray(store.meta["duration_s"]).tolist())
    }
