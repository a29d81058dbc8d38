"""`avaffect split`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.split import SplitSettings


def _call(settings: SplitSettings, progress: Progress) -> None:
    from avaffect.recipes.split import split

    split(settings, progress)


command = make_command("split", SplitSettings, _call, reads_stdin="source")
