"""What was retrieved: how often it has its query's label, and a gallery with faces and sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avaffect.data.manifest import Manifest
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Gallery, GalleryRow, Group, Part, Section, Tile
from avaffect.recipes.reporting.scored import Scored
from avaffect.recipes.reporting.sections import scores
from avaffect.recipes.reporting.tiles import duration, seconds_of, tile
from avaffect.recipes.scoring.reports.classes import RetrievalReport
from avaffect.recipes.scoring.retrieved_clips import Clip, ClipRow, rows_of
from avaffect.settings.gallery import GallerySettings

LEAD = "Queries, chosen evenly over their labels, each with the first utterances drawn for it."


def section(context: Context, scored: Scored) -> Section | None:
    """Every retrieval that was given; None without any."""
    reports = {report.file: report for report in scored.of(RetrievalReport)}
    parts: list[Part] = []
    for found in context.given.retrievals:
        own: list[Part] = [*scored.notes.get(Path(found.name), ())]
        if found.name in reports:
            own += scores.retrieval(reports.pop(found.name))
        own += context.attempt("the gallery", _gallery, context, found)
        parts.append(Group(Path(found.name).name, tuple(own)))
    for file, report in reports.items():
        parts.append(Group(Path(file).name, tuple(scores.retrieval(report))))
    return Section("retrieval", "Retrieval", tuple(parts), LEAD) if parts else None


def _gallery(context: Context, found: Manifest) -> Iterator[Part]:
    assert found.path is not None
    wanted = context.settings
    settings = GallerySettings(
        retrieval=found.path, output=Path("gallery.png"), queries=wanted.queries,
        retrieved=wanted.retrieved, gold=wanted.gold, label=wanted.label, seed=wanted.seed,
    )  # fmt: skip
    rows = rows_of(found, settings)
    compared = any(clip.agrees is not None for row in rows for clip in row.retrieved)
    temperature = found.header.made_with.temperature
    title = "Gallery" if temperature is None else f"Gallery, T = {temperature:g}"
    seconds = seconds_of(clip for row in rows for clip in (row.query, *row.retrieved))
    yield Gallery(title, tuple(_row(context, row, seconds) for row in rows), compared)


def _row(context: Context, row: ClipRow, seconds: float) -> GalleryRow:
    query, *others = (_tile(context, c, seconds) for c in (row.query, *row.retrieved))
    return GalleryRow(query, tuple(others))


def _tile(context: Context, clip: Clip, seconds: float) -> Tile:
    similarity = "" if clip.similarity is None else f"{clip.similarity:.2f}"
    details = " · ".join(filter(None, (similarity, duration(clip))))
    return tile(context.media, clip, (details,), seconds)
