"""`eval-embeddings`: how far classes are apart in vectors of utterances."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.progress import SILENT, Progress
from avaffect.data.store.reader import Store
from avaffect.recipes.common import pictures, work
from avaffect.recipes.scoring.clouds import cloud_of, vector_report
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.vectors import VectorReport
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
    with progress.task("scoring", len(stores), "stores"):
        for store in stores:
            reports.append(vector_report(store, settings, made))
            progress.advance()
    if settings.plot is not None:
        pictures.write(
            settings.plot, settings, made, _drawn(settings, stores, reports, progress), progress
        )
    write_reports(settings, reports, progress)
    return reports


def _drawn(
    settings: EvalEmbeddingsSettings, stores: Sequence[Store], reports: Sequence[VectorReport],
    progress: Progress,
) -> bytes:  # fmt: skip
    from avaffect.recipes.scoring.scatter import picture

    clouds = []
    with progress.task("projecting", len(stores), "stores"):
        for store, report in zip(stores, reports):
            clouds.append(cloud_of(store, report, settings))
            progress.advance()
    assert settings.plot is not None
    return picture(clouds, settings.by, settings.plot.suffix.lower())
