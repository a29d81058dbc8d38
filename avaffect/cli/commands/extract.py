"""`avaffect extract`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.extract import ExtractSettings


def _call(settings: ExtractSettings, progress: Progress) -> None:
    from avaffect.recipes.extract import extract

    extract(settings, progress)


command = make_command("extract", ExtractSettings, _call)
