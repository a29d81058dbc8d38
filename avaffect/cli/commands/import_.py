"""`avaffect import`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.import_ import ImportSettings


def _call(settings: ImportSettings, progress: Progress) -> None:
    from avaffect.recipes.import_ import import_

    import_(settings, progress)


command = make_command("import", ImportSettings, _call)
