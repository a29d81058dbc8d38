"""`eval-embeddings`: how far classes are apart in vectors of utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.streams import MEAN
from avaffect.data.embeddings import EMBEDDING
from avaffect.data.store.reader import Store
from avaffect.evaluation.clustering import davies_bouldin_index
from avaffect.recipes.common import pictures, work
from avaffect.recipes.scoring.fields import CORPUS
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.vectors import Separation, VectorReport
from avaffect.settings.eval_embeddings import EvalEmbeddingsSettings


def eval_embeddings(
    settings: EvalEmbeddingsSettings, progress: Progress = SILENT
) -> list[VectorReport]:
    """Score each store: one report each, also written to `settings.output`.

    Raises DataError where a store has no such vectors, or fewer than two classes of two utterances
    each; UsageError for a picture that cannot be drawn.
    """
    pictures.check(settings.plot)
    stores = [Store(path) for path in settings.stores]
    made = work.record("eval-embeddings", settings, work.store_inputs("vectors", stores))
    reports = []
    for store in stores:
        name = _vectors_of(store, settings.vectors)
        vectors = np.asarray(store.pooled_vectors(name), dtype=np.float64)
        by = {of: _separation(store, of, vectors) for of in settings.by}
        reports.append(VectorReport(file=str(store.path), vectors=name, by=by, provenance=made))
    if settings.plot is not None:
        pictures.write(settings.plot, settings, made, _drawn(settings, stores, reports), progress)
    write_reports(settings, reports, progress)
    return reports


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
        f"{', '.join([*have, *store.meta])})"
    )


def _separation(store: Store, of: str, vectors: np.ndarray) -> Separation:
    """Of the classes with two utterances or more."""
    names = _names(store, of)
    counts = Counter(names)
    rows = [row for row, name in enumerate(names) if name and counts[name] > 1]
    classes = {names[row] for row in rows}
    if len(classes) < 2:
        raise DataError(
            f"{store.path}: {of} has {len(classes)} classes of two utterances or more; two are "
            "needed to be told apart"
        )
    index = davies_bouldin_index(vectors[rows], np.array([names[row] for row in rows]))
    return Separation(davies_bouldin=index, classes=len(classes), utterances=len(rows))


def _drawn(
    settings: EvalEmbeddingsSettings, stores: Sequence[Store], reports: Sequence[VectorReport]
) -> bytes:
    from avaffect.evaluation.projection import tsne
    from avaffect.recipes.scoring.scatter import Cloud, picture

    clouds = []
    for store, report in zip(stores, reports):
        order = seeds.generator(settings.seed, "points", store.count).permutation(store.count)
        rows = np.sort(order[: settings.points])
        vectors = np.asarray(store.pooled_vectors(report.vectors))[rows]
        names = {of: [_names(store, of)[row] for row in rows.tolist()] for of in settings.by}
        words = {of: f"Davies-Bouldin {s.davies_bouldin:.2f}" for of, s in report.by.items()}
        places = tsne(vectors, settings.perplexity, settings.seed)
        clouds.append(Cloud(Path(report.file).stem, places, names, words))
    assert settings.plot is not None
    return picture(clouds, settings.by, settings.plot.suffix.lower())
