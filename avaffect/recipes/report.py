"""`report`: one page of everything that artifacts hold and were made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core.atomic import atomic_path
from avaffect.core.errors import UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.recipes.common import publishing, work
from avaffect.recipes.reporting import given as inputs
from avaffect.recipes.reporting import page
from avaffect.recipes.reporting.given import Given
from avaffect.settings.report import ReportSettings
from avaffect.training.state import metrics_path

# Drawings and scores are made once the inputs are known to be right.
if TYPE_CHECKING:
    from avaffect.recipes.reporting.context import Context
    from avaffect.recipes.reporting.parts import Section


def report(settings: ReportSettings, progress: Progress = SILENT) -> None:
    """Write the page of some artifacts; see avaffect-report(1).

    What cannot be shown is a note in the page and a warning. Raises DataError naming a file that is
    neither an artifact, nor a report, nor a history; UsageError without any; OutputExistsError
    where the output is there and of other inputs.
    """
    if not settings.artifacts:
        raise UsageError("name the artifacts, reports or histories that the page is of")
    given = inputs.read(settings.artifacts)
    made = _provenance(settings, given)

    def is_same(path: Path) -> bool:
        record = page.provenance_of(path)
        return record is not None and identity(record) == identity(made)

    if publishing.is_current(settings, made, progress, is_same=is_same):
        return
    if publishing.is_dry(settings, progress, f"write a page of {len(given.identities)} files"):
        return
    text, words = _written(settings, given, made, progress)
    with atomic_path(settings.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    progress.say(f"{settings.output}: {words}")


def _provenance(settings: ReportSettings, given: Given) -> Provenance:
    """Histories beside checkpoints that were given are inputs too: they grow while training goes
    on."""
    found = [("artifact", path, content) for path, content in given.identities.items()]
    beside = [metrics_path(path) for path, _ in given.checkpoints]
    histories = [path for path in beside if path.is_file() and path not in given.identities]
    found += [("history", path, file_content_id(path)) for path in histories]
    return work.record("report", settings, found, work.file_inputs("gold", settings.gold))


def _written(
    settings: ReportSettings, given: Given, made: Provenance, progress: Progress
) -> tuple[str, str]:
    """The page, and what it has in words."""
    from avaffect.recipes.compare import compare
    from avaffect.recipes.eval_ccc import eval_ccc
    from avaffect.recipes.explore import explore
    from avaffect.recipes.info import info
    from avaffect.recipes.reporting.context import Commands, Context
    from avaffect.recipes.reporting.media import MEGABYTE, Media

    media = Media(round(settings.megabytes * MEGABYTE))
    sections = _sections(
        Context(settings, given, media, progress, Commands(explore, info, compare, eval_ccc))
    )
    text = page.render(
        settings.title or settings.output.stem, given.listed, sections, media.words, made
    )
    names = ", ".join(section.title.lower() for section in sections)
    return text, f"{names or 'no section'}; {len(text) / MEGABYTE:.1f} MB"


def _sections(context: Context) -> Sequence[Section]:
    """In the order of the page, those that there is something for."""
    from avaffect.recipes.reporting.scored import score
    from avaffect.recipes.reporting.sections import (
        artifacts,
        data,
        embeddings,
        lineage,
        retrieval,
        scores,
        traces,
        training,
    )

    made: list[Callable[[], Section | None]] = [
        lambda: scores.section(context, scored),
        lambda: retrieval.section(context, scored),
        lambda: traces.section(context, scored),
        lambda: embeddings.section(context),
        lambda: training.section(context),
        lambda: data.section(context, scored),
        lambda: lineage.section(context),
        lambda: artifacts.section(context),
    ]
    with context.progress.task("report", len(made) + 1, "sections"):
        scored = score(context)
        found = []
        for section in made:
            context.progress.advance()
            found.append(section())
    return [section for section in found if section is not None]
