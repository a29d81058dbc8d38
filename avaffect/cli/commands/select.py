"""`avaffect select`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.select import SelectSettings


def _call(settings: SelectSettings, progress: Progress) -> None:
    from avaffect.recipes.select import select

    select(settings, progress)


command = make_command("select", SelectSettings, _call, reads_stdin="source")
