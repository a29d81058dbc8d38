"""`export`: write an artifact in a format of other programs."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.exchange import lists
from avaffect.settings.export import SUFFIXES, ExportSettings
from avaffect.settings.outputs import PROMISES


def export(settings: ExportSettings, progress: Progress = SILENT) -> None:
    """Write `settings.artifact` in the format `settings.to`.

    Raises UsageError where the artifact has no such format or a package is missing, DataError where
    it lacks what the format requires, OutputExistsError where the output was not written by
    `export`, or otherwise.
    """
    _check_name(settings)
    lists.run(settings, progress)


def _check_name(settings: ExportSettings) -> None:
    """Raises UsageError where the output's name promises another format."""
    output: Path = settings.output
    right = SUFFIXES.get(settings.to, ())
    if output.suffix.lower() in PROMISES - {*right}:
        named = (
            f"{output.with_suffix(right[0])}" if right else f"the folder {output.with_suffix('')}"
        )
        raise UsageError(f"-o {output}: {settings.to} is written; name it {named}")
