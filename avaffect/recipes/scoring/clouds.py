"""Classes in vectors of utterances: how far they are apart, and where t-SNE puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import followed
from avaffect.core.provenance import Provenance
from avaffect.core.streams import MEAN
from avaffect.data.embeddings import EMBEDDING
from avaffect.data.store.reader import Store
from avaffect.evaluation.clustering import davies_bouldin_index
from avaffect.recipes.scoring.fields import CORPUS
from avaffect.recipes.scoring.reports.vectors import Separation, VectorReport
from avaffect.settings.eval_embeddings import EvalEmbeddingsSettings

# Arrangements of the classes whose mean index is that of chance.
ARRANGED = 10


@dataclass(frozen=True)
class Cloud:
    """places (N, 2); names: what is told apart -> (N,) names, "" unknown; words: under the panel,
    likewise."""

    title: str
    places: np.ndarray
    names: Mapping[str, Sequence[str]]
    words: Mapping[str, str]


def vector_report(store: Store, settings: EvalEmbeddingsSettings, made: Provenance) -> VectorReport:
    """How far the classes of a store are apart in its vectors.

    Raises DataError where it has no such vectors, or fewer than two classes of two utterances each.
    """
    name = _vectors_of(store, settings.vectors)
    vectors = np.asarray(store.pooled_vectors(name), dtype=np.float64)
    by = {of: _separation(store, of, vectors) for of in settings.by}
    return VectorReport(file=str(store.path), vectors=name, by=by, provenance=made)


def cloud_of(store: Store, report: VectorReport, settings: EvalEmbeddingsSettings) -> Cloud:
    """Some of a store's vectors in two dimensions, with the report's scores below."""
    from avaffect.evaluation.projection import tsne

    order = seeds.generator(settings.seed, "points", store.count).permutation(store.count)
    rows = np.sort(order[: settings.points])
    vectors = np.asarray(store.pooled_vectors(report.vectors))[rows]
    every = {of: _names(store, of) for of in settings.by}
    names = {of: [names_of[row] for row in rows.tolist()] for of, names_of in every.items()}
    words = {of: f"Davies-Bouldin {s.davies_bouldin:.2f}" for of, s in report.by.items()}
    places = tsne(vectors, settings.perplexity, settings.seed)
    return Cloud(Path(report.file).stem, places, names, words)


def _vectors_of(store: Store, wanted: str | None) -> str:
    """The name of the vectors to read."""
    there = list(store.pooled)
    order = (
        [wanted] if wanted is not None else [EMBEDDING, MEAN, *(there if len(there) == 1 else [])]
    )
    found = next((name for name in order if name in there), None)
    if found is None:
        raise DataError(
            f"{store.path} has the vectors {', '.join(there) or 'none'}: name some with --vectors, "
            "or make them with `avaffect extract`"
        )
    return found


def _names(store: Store, of: str) -> list[str]:
    """The class of each utterance, "" where it is unknown."""
    spec = store.labels.get(of)
    if spec is not None and spec.kind == "class":
        return [spec.classes[value] if value >= 0 else "" for value in store.label(of).tolist()]
    if of in store.meta:
        return [str(value) for value in store.meta[of]]
    if of == CORPUS:
        return [identifier.partition("_")[0] for identifier in store.ids]
    have = [name for name, s in store.labels.items() if s.kind == "class"]
    raise DataError(
        f"{store.path} has no class label and no field {of!r} (it has: "
        f"{', '.join([*have, *store.meta])}){meant(of, [*have, *store.meta])}"
    )


def _separation(store: Store, of: str, vectors: np.ndarray) -> Separation:
    """Of the classes with two utterances or more."""
    names = _names(store, of)
    counts = Counter(names)
    rows = [row for row, name in enumerate(names) if name and counts[name] > 1]
    classes = {names[row] for row in rows}
    if len(classes) < 2:
        raise DataError(
            f"{store.path}: {of} has {count_of(len(classes), 'class')} of two utterances or more; "
            "two are needed to be told apart"
        )
    chosen, of_rows = vectors[rows], np.array([names[row] for row in rows])
    # Of classes that say nothing of the vectors: the same, in other places.
    random = seeds.generator(0, "chance", of)
    arranged = followed(range(ARRANGED), f"chance of {of}", ARRANGED, "arrangements")
    chance = [davies_bouldin_index(chosen, random.permutation(of_rows)) for _ in arranged]
    return Separation(
        davies_bouldin=davies_bouldin_index(chosen, of_rows),
        classes=len(classes),
        utterances=len(rows),
        chance=float(np.mean(chance)),
    )
