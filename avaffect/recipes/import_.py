"""`import`: convert published weights to an encoder's checkpoint."""

from __future__ import annotations

from avaffect.core.errors import UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.near import meant
from avaffect.core.progress import SILENT, Progress
from avaffect.models.published import FAMILIES
from avaffect.recipes.common import publishing, work
from avaffect.settings.import_ import ImportSettings
from avaffect.training import foreign_files


def import_(settings: ImportSettings, progress: Progress = SILENT) -> None:
    """Read `settings.weights` and write an encoder.

    Raises UsageError for an unknown family, DataError where the file cannot be read safely, is of
    no model that is known, or its weights are not those of that model; they are named.
    """
    if settings.kind is not None and settings.kind not in FAMILIES:
        raise UsageError(
            f"--as {settings.kind}: no family of models; known: {', '.join(FAMILIES)}"
            f"{meant(settings.kind, FAMILIES)}"
        )
    files = foreign_files.files_of(settings.weights)
    foreign_files.check(files)
    inputs = [("weights", file, file_content_id(file)) for file in files]
    made = work.record("import", settings, inputs)
    plan = f"import {settings.weights}"
    if not settings.dry_run and publishing.is_done(settings, made, progress, plan):
        return
    from avaffect.recipes.encoding import importing

    importing.run(settings, files, made, progress)
