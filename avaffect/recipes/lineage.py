"""`lineage`: what artifacts were made from, as a table or a Makefile."""

from __future__ import annotations

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.common.ancestry import MISSING, Ancestor, ancestry
from avaffect.settings.lineage import LineageSettings


def lineage(settings: LineageSettings, progress: Progress = SILENT) -> list[Ancestor]:
    """The artifacts and their inputs, and the inputs of those; each once, inputs first.

    Warns of inputs that are not found. Raises DataError where a file is no artifact and no report.
    """
    found = ancestry(settings.files)
    for each in found:
        if each.kind == MISSING:
            progress.warn(each.missing)
    return found
