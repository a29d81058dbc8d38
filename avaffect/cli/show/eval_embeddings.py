"""Prints how far classes are apart in vectors: a table, or JSON."""

from __future__ import annotations

from avaffect.cli.show.reports import show_reports
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.settings.eval_embeddings import EvalEmbeddingsSettings


def show(settings: EvalEmbeddingsSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_embeddings import eval_embeddings
    from avaffect.recipes.scoring.tables.vectors import tables

    reports = eval_embeddings(settings, progress)
    show_reports(settings, reports, lambda style: tables(reports, style))
    progress.say(f"vectors of {count_of(len(reports), 'store')} scored")
