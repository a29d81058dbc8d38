"""`report`: one page of everything that artifacts hold and were made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import unchanged
from avaffect.core.atomic import atomic_path
from avaffect.core.errors import UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.data.artifacts import content_id_of
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.ancestry import Ancestor, ancestry
from avaffect.recipes.reporting import beside, page
from avaffect.recipes.reporting import given as inputs
from avaffect.recipes.reporting.given import Given
from avaffect.settings.report import ReportSettings

# Kinds of ancestors that are artifacts.
ARTIFACTS = ("store", "checkpoint", "manifest")
# Drawings and scores are made once the inputs are known to be right.
if TYPE_CHECKING:
    from avaffect.recipes.reporting.context import Context
    from avaffect.recipes.reporting.parts import Section


def report(settings: ReportSettings, progress: Progress = SILENT) -> None:
    """Write the page of some artifacts; see avaffect-report(1).

    What cannot be shown is a note in the page and a warning. Raises DataError naming a file that is
    neither an artifact, nor a report, nor a history, or is replaced meanwhile; UsageError without
    any; OutputExistsError where the output is there and of other inputs, or shows ancestors that
    have changed since.
    """
    if not settings.artifacts:
        raise UsageError("name the artifacts, reports or histories that the page is of")
    given = inputs.read(settings.artifacts)
    lineage = ancestry(given.artifacts)
    made = _provenance(settings, given, lineage)
    former = page.provenance_of(settings.output) if settings.output.is_file() else None

    def is_same(path: Path) -> bool:
        return former is not None and identity(former) == identity(made)

    if publishing.is_current(
        settings, made, progress, is_same=is_same, differs=_differs(former, made)
    ):
        return
    if publishing.is_dry(
        settings, progress, f"write a page of {count_of(len(given.identities), 'file')}"
    ):
        return
    shown = _taken(given, lineage)
    text, words = _written(settings, given, lineage, made, progress)
    # What is damaged now may be in the page as a note.
    for path in shown:
        unchanged.check(path)
    with atomic_path(settings.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    progress.say(f"{settings.output}: {words}")


def _provenance(settings: ReportSettings, given: Given, lineage: Sequence[Ancestor]) -> Provenance:
    """The files behind the artifacts are inputs too: the page shows their making, faces and sound.
    Histories grow while training goes on."""
    found = [("artifact", path, content) for path, content in given.identities.items()]
    histories = beside.histories(lineage, given)
    losses = beside.losses(lineage)
    found += [
        (role, path, file_content_id(path))
        for role, paths in (("history", histories), ("losses", losses))
        for path in paths if path not in given.identities
    ]  # fmt: skip
    # The record of a stream stands in that of what was made from it.
    found += [("lineage", Path(a.path), beside.identity_of(a)) for a in lineage if a.path]
    return work.record("report", settings, found, work.file_inputs("gold", settings.gold))


def _taken(given: Given, lineage: Sequence[Ancestor]) -> list[Path]:
    """The artifacts that the page shows, whose content ids are taken. Raises DataError where a
    given one was replaced since it was read."""
    read = {path.resolve(): content for path, content in given.identities.items()}
    taken = [Path(one.path) for one in lineage if one.kind in ARTIFACTS]
    for path in taken:
        content = content_id_of(path)
        if read.get(path.resolve(), content) != content:
            raise unchanged.replaced(path)
    return taken


def _differs(former: Provenance | None, made: Provenance) -> str:
    """Why a page is not up to date, in words."""
    if former is None or former.get("settings") != made["settings"]:
        return "was made from other inputs or settings"
    before, now = (
        {(entry["role"], entry["path"], entry["content_id"]) for entry in record["inputs"]}
        for record in (former, made)
    )
    changed = sorted({path for _, path, _ in before ^ now})
    return f"is of other files, or shows some that have changed ({work.some_of(changed)})"


def _written(
    settings: ReportSettings, given: Given, lineage: list[Ancestor], made: Provenance,
    progress: Progress,
) -> tuple[str, str]:  # fmt: skip
    """The page, and what it has in words."""
    from avaffect.recipes.compare import compare
    from avaffect.recipes.eval_ccc import eval_ccc
    from avaffect.recipes.explore import explore
    from avaffect.recipes.info import info
    from avaffect.recipes.reporting.context import Commands, Context
    from avaffect.recipes.reporting.media import MEGABYTE, Media

    media = Media(round(settings.megabytes * MEGABYTE))
    sections = _sections(
        Context(
            settings, given, lineage, media, progress, Commands(explore, info, compare, eval_ccc)
        )
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
