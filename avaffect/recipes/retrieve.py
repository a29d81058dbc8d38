"""`retrieve`: draw pool utterances for each query by softmax similarity (SAAML Eq. 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.headers.manifest import ManifestHeader, NamedStore, RetrievalSettings
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, relative
from avaffect.core.rows import Rows
from avaffect.data import manifest
from avaffect.data.embeddings import Embeddings, check_same_model, open_embeddings
from avaffect.data.labels import Annotations
from avaffect.data.similarity import open_similarity
from avaffect.recipes.common import grown_pool, publishing, work
from avaffect.recipes.common.stores import in_split, warn_of_itself, warn_of_lacking
from avaffect.settings.retrieve import RetrieveSettings

if TYPE_CHECKING:
    from avaffect.retrieval.sampling import Retrieved


def retrieve(settings: RetrieveSettings, progress: Progress = SILENT) -> None:
    """Draw for each labelled query and write a retrieval manifest.

    Raises DataError where the embeddings are of different models, no query is labelled, or an
    embedding has no direction.
    """
    query = open_embeddings(settings.query, "query")
    pool = open_embeddings(settings.pool, "pool")
    check_same_model([*query.stores, *pool.stores])
    warn_of_itself(query, pool, progress)
    before = None
    if settings.grown is not None:
        before = manifest.read(settings.grown, expect="retrieval")
    made = work.record(
        "retrieve",
        settings,
        work.store_inputs("query", query.stores),
        work.store_inputs("pool", pool.stores),
        work.file_inputs("similarity", [settings.similarity], "store"),
        work.file_inputs("annotations", [settings.annotations], "corpus"),
        work.file_inputs("retrieval", [settings.grown], "retrieval"),
    )
    annotations = Annotations.read(settings.annotations, query.stores)
    rows, labels = _labelled_queries(settings, query, annotations, progress)
    speakers = [s for store in query.stores for s in annotations.field(store, "speaker")]
    plan = (
        f"draw {settings.draws} of {count_of(len(pool), 'utterance')} for each of "
        f"{count_of(len(rows), 'query')}"
    )
    if publishing.is_done(settings, made, progress, plan):
        return
    if before is None:
        drawn = _draw(settings, query, pool, rows, progress)
    else:
        drawn = _draw_added(settings, before, query, pool, rows, progress)
    header = _header(settings, made, query, pool, drawn)
    distinct, places = np.unique(drawn.indices, return_inverse=True)
    names = np.array(pool.ids_at(distinct), dtype=object)
    places = places.reshape(drawn.indices.shape)
    with manifest.writer(settings.output, header) as sink:
        for position, row in enumerate(rows):
            sink.item(
                {
                    "query": query.ids[row],
                    "label": labels[position],
                    "speaker": speakers[row] or None,
                    "pool": names[places[position]].tolist(),
                    "similarity": [round(float(s), 6) for s in drawn.similarity[position]],
                    "log_normalizer": round(float(drawn.log_normalizer[position]), 6),
                    "normalizer": "exact" if drawn.exact[position] else "estimated",
                    "effective_size": round(float(drawn.effective_size[position]), 3),
                }
            )
    _report(settings, pool, drawn, progress)


def _labelled_queries(
    settings: RetrieveSettings, query: Embeddings, annotations: Annotations, progress: Progress
) -> tuple[list[int], list[str]]:
    """Rows of the queries to use, and their classes."""
    chosen = np.concatenate(in_split(query.stores, settings.query_split, annotations))
    names = [n for store in query.stores for n in annotations.names(store, settings.label)]
    classes = settings.class_map
    if not classes:
        there = sorted({name for name in names if name is not None})
        work.warn_of_alike(f"{settings.query[0]}: {settings.label}", there, progress)
    asked = [(row, classes.class_of(names[row])) for row in np.flatnonzero(chosen).tolist()]
    queries = [(row, name) for row, name in asked if name is not None]
    rows = [row for row, _ in queries]
    if not rows:
        raise DataError(
            f"{settings.query[0]}: no utterance"
            + (f" of the split {settings.query_split!r}" if settings.query_split != "all" else "")
            + f" has a label {settings.label!r} to query with"
        )
    classes.check({name for _, name in queries}, str(settings.query[0]), "to query with")
    _say_lacking(query, queries, progress)
    left_out = int(chosen.sum()) - len(rows)
    if left_out:
        progress.say(
            f"{count_of(left_out, 'query has', 'queries have')} no label {settings.label!r} in "
            "use; left out"
        )
    return rows, [name for _, name in queries]


def _say_lacking(query: Embeddings, queries: list[tuple[int, str]], progress: Progress) -> None:
    """Of several stores: the classes that some of them lack. `adapt` learns all of them."""
    ends = np.cumsum([store.count for store in query.stores])
    found: list[set[str]] = [set() for _ in query.stores]
    for row, name in queries:
        found[int(np.searchsorted(ends, row, side="right"))].add(name)
    warn_of_lacking(query.stores, found, "query", progress)


def _draw(
    settings: RetrieveSettings,
    query: Embeddings,
    pool: Embeddings,
    rows: list[int],
    progress: Progress,
) -> Retrieved:
    from avaffect.retrieval.sampling import Options, sample, sample_similarity

    options = Options(
        temperature=settings.temperature,
        draws=settings.draws,
        seed=settings.seed,
        progress=progress,
    )
    try:
        if settings.similarity is not None:
            values, indices = open_similarity(settings.similarity, query, pool)
            return sample_similarity(
                values[rows], None if indices is None else indices[rows], **options
            )
        return sample(query.vectors[rows], pool.vectors, sampler=settings.sampler, **options)
    except ValueError as error:
        raise DataError(f"{settings.query[0]} and {settings.pool[0]}: {error}") from error


def _draw_added(
    settings: RetrieveSettings,
    before: manifest.Manifest,
    query: Embeddings,
    pool: Embeddings,
    rows: list[int],
    progress: Progress,
) -> Retrieved:
    """From what was added to the pool of an earlier retrieval, and from its draws."""
    count = grown_pool.check(before, settings, query, pool, [query.ids[row] for row in rows])
    from avaffect.retrieval.growing import grown

    assert isinstance(pool.vectors, Rows) and settings.grown is not None
    first = sum(store.count for store in pool.stores[:count])
    rest = replace(pool, vectors=Rows(pool.vectors.parts[count:]))
    only = replace(settings, grown=None, sampler="stream")
    added = _draw(only, query, rest, rows, progress)
    return grown(grown_pool.drawn(before, pool, settings.grown), added, first, settings.seed)


def _header(
    settings: RetrieveSettings,
    made: Provenance,
    query: Embeddings,
    pool: Embeddings,
    drawn: Retrieved,
) -> ManifestHeader:
    def named(embeddings: Embeddings) -> tuple[NamedStore, ...]:
        found = [(s.content_id, relative(s.path, settings.output)) for s in embeddings.stores]
        return tuple(NamedStore(path=path, content_id=content) for content, path in found)

    folder = settings.output.parent if settings.output is not None else None
    pilot = drawn.pilot
    return ManifestHeader(
        content="retrieval",
        base="." if folder is not None else manifest.base_for(None, manifest.Path.cwd()),
        stores={"query": named(query), "pool": named(pool)},
        settings=RetrievalSettings(
            temperature=settings.temperature,
            draws=settings.draws,
            seed=settings.seed,
            label=settings.label,
            sampler=drawn.sampler,
            pilot_trials=None if pilot is None else round(pilot.trials, 1),
            pilot_limit=None if pilot is None else round(pilot.limit, 1),
        ),
        provenance=made,
    )


def _report(
    settings: RetrieveSettings, pool: Embeddings, drawn: Retrieved, progress: Progress
) -> None:
    """How much was drawn, and how selective the temperature is."""
    distinct = np.unique(drawn.indices)
    durations = pool.meta_at("duration_s", distinct)
    hours = f" ({float(durations.sum()) / 3600:.2f} h)" if durations is not None else ""
    size = float(np.median(drawn.effective_size))
    progress.say(
        f"drew {count_of(len(distinct), 'distinct utterance')}{hours} of {len(pool)} for "
        f"{count_of(len(drawn.indices), 'query')}, {settings.draws} each ({drawn.sampler}); at T = "
        f"{settings.temperature:g} a query's draws are as spread out as over {size:.0f} utterances"
    )
    # The sum of squares is at most the largest probability: below 2, that is more than a half.
    single = int((drawn.effective_size < 2).sum())
    if single and len(pool) > 10:
        progress.warn(
            f"T = {settings.temperature:g} is so low that one utterance takes more than half of "
            f"the draws of {single} of {count_of(len(drawn.indices), 'query')} (effective size at "
            f"least {float(drawn.effective_size.min()):.2f}): they would adapt to the same "
            "utterance again and again; a higher -T spreads them"
        )
    if size > 0.5 * len(pool) and len(pool) > 10:
        progress.warn(
            "the draws are nearly uniform over the pool: a lower -T is more selective (or train "
            "the projector with --base 0.5 --epsilon 0.1)"
        )
